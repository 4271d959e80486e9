"""The module behind `[[1, 2], 1, DeepLabV3SemanticSegment, [nc]]`. Its path is part of every checkpoint: it stays."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from ultralytics.nn.modules.head import SemanticSegment

from mvdet.heads.deeplabv3 import AuxiliaryHead, DeepLabV3Head

CLASS_MAP_FORMATS = ("onnx", "mnn", "openvino")
"""Export formats in which ultralytics wants class numbers instead of logits; `bake_argmax` asks for them in others."""


class DeepLabV3SemanticSegment(SemanticSegment):
    """`mvdet.heads.DeepLabV3Head` as the last row of an ultralytics model definition, with the auxiliary head.

    A `SemanticSegment` by type, which is how ultralytics knows a head that it tells its stride and of an export; of
    its own layers it has none.

    Image sides are taken to be multiples of `stride`, as ultralytics makes them. That is twice the stride of the maps:
    MobileViTv2 rounds them up to even sizes, so that others would have to be resampled before the head.

    Args:
        nc: classes, with the background.
        channels: those of the maps that it reads: the deepest alone, or the one before it, for the auxiliary head,
            and the deepest.
        aspp_channels: see `DeepLabV3Head`.
        map_stride: stride of the deepest map.

    Raises:
        ValueError: unless there are one or two maps and two classes at least.
    """

    classifier = aux_head = None  # YOLO's layers, which ultralytics looks for in every `SemanticSegment`

    def __init__(self, nc: int, channels: Sequence[int], aspp_channels: int, map_stride: int) -> None:
        nn.Module.__init__(self)  # `SemanticSegment`'s own would build YOLO's layers
        if nc < 2:
            raise ValueError(f"DeepLabV3 needs 2 classes at least, got nc {nc}: the background is a class of its own")
        if len(channels) not in (1, 2):
            raise ValueError(f"DeepLabV3 reads one or two maps, got {len(channels)}")
        self.nc = nc
        self.nl = len(channels)
        self.map_stride = map_stride
        self.stride = torch.zeros(1)  # found when the model is built
        self.head = DeepLabV3Head(channels[-1], nc, aspp_channels=aspp_channels)
        self.auxiliary = AuxiliaryHead(channels[0], nc) if len(channels) == 2 else None

    @property
    def stride(self) -> Tensor:
        """What image sides are multiples of, [1]."""
        return self._stride

    @stride.setter
    def stride(self, found: Tensor) -> None:
        self._stride = found.clamp(min=2 * self.map_stride)

    def forward(self, maps: list[Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        """One map or two [B, C, H, W] -> logits.

        Returns:
            In training logits [B, nc, H, W], with an auxiliary head both heads'. Otherwise those of the main head at
            the images' size, stretched as `mvdet.models.DeepLabV3` does; in an export to some formats the classes
            [B, image height, image width], uint8 or, for more than 256 classes, int32.

        Raises:
            ValueError: for a training batch of one image.
        """
        deepest = maps[-1]
        if self.head.training and len(deepest) == 1 and isinstance(self.head.aspp.image_pool.norm, nn.BatchNorm2d):
            raise ValueError(
                "a training batch of one image cannot be normalised, for the pooled branch of DeepLabV3 has one value "
                "a channel; choose a batch size of 2 at least that leaves no single image at the end"
            )
        logits = self.head(deepest)
        if self.training:
            return logits if self.auxiliary is None else (logits, self.auxiliary(maps[0]))
        height, width = (side * self.map_stride for side in deepest.shape[-2:])
        logits = F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=True)
        if self.export and (self.format in CLASS_MAP_FORMATS or self.bake_argmax):
            return logits.argmax(dim=1).to(torch.uint8 if self.nc <= 256 else torch.int32)
        return logits

    def fuse(self) -> None:
        """Fold batch normalisation into the convolutions, for inference."""
        self.head.fuse()
        if self.auxiliary is not None:
            self.auxiliary.fuse()
