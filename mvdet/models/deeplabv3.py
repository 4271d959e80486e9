"""DeepLabV3 on MobileViT, called as torchvision calls its segmentation models."""

from collections.abc import Sequence
from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.variants import VariantSpec
from mvdet.heads.deeplabv3 import ASPP_CHANNELS, ATROUS_RATES, DROPOUT, AuxiliaryHead, DeepLabV3Head
from mvdet.models.freezing import Freezing


class DeepLabV3(nn.Module):
    """Semantic segmentation: images to a map of class logits, and to a second one where there is an auxiliary head.

    Args:
        spec: the backbone.
        num_classes: classes, with the background where there is one; 21 for the published VOC weights, 150 for ADE20k.
        in_channels: channels of the images.
        output_stride: 8, 16 or 32, of the backbone: smaller values dilate its deeper levels. 16 for the published
            weights.
        aspp_channels: channels of the head; None takes the published weights', 256 in v1 and 512 in v2.
        atrous_rates: dilations of the head's three 3x3 convolutions. As in ml-cvnets they do not follow
            `output_stride`; the DeepLabV3 paper (section 4.1) and ml-cvnets' own configurations double them at 8.
        aux_head: whether there is an auxiliary head; None takes what the published weights have: in v2, not in v1.
            (transformers' v2 files have none.) It may be dropped after loading: `model.aux_head = None`.
        dropout: probability that a channel is dropped before either classifier, in training.
        freeze: leave the backbone as it is.
        freeze_batch_norm: leave the backbone's batch normalisation as it is.

    Raises:
        ValueError: for fewer than one class, or options that the backbone or the head does not have.
    """

    def __init__(
        self,
        spec: VariantSpec,
        *,
        num_classes: int = 21,
        in_channels: int = 3,
        output_stride: int = 16,
        aspp_channels: int | None = None,
        atrous_rates: Sequence[int] = ATROUS_RATES,
        aux_head: bool | None = None,
        dropout: float = DROPOUT,
        freeze: bool = False,
        freeze_batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        has_aux_head = spec.version == 2 if aux_head is None else aux_head
        self.backbone = MobileViTBackbone(
            spec, out_strides=(16, 32) if has_aux_head else (32,), output_stride=output_stride, in_channels=in_channels
        )
        self.head = DeepLabV3Head(
            self.backbone.channels[-1],
            num_classes,
            aspp_channels=ASPP_CHANNELS[spec.version] if aspp_channels is None else aspp_channels,
            atrous_rates=atrous_rates,
            dropout=dropout,
        )
        self.aux_head: AuxiliaryHead | None = None
        if has_aux_head:
            self.aux_head = AuxiliaryHead(self.backbone.channels[0], num_classes, dropout=dropout)
        self._freezing = Freezing(self.backbone, whole=freeze, batch_norm=freeze_batch_norm)

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`; what is frozen stays in evaluation mode."""
        super().train(mode)
        self._freezing.apply(self.backbone)
        return self

    def forward(self, images: Tensor, upsample: bool = True) -> dict[str, Tensor]:
        """Logits of every pixel, in training and evaluation alike: torchvision's contract.

        Args:
            images: [B, in_channels, H, W], RGB in [0, 1], any H and W.
            upsample: stretch the logits to the images' size, bilinearly with the corners aligned, as ml-cvnets does;
                False gives them as the heads do, H and W divided by `output_stride` and rounded up, on v2 to even.

        Returns:
            `out` and, with an auxiliary head, `aux`: [B, num_classes, H, W] each.

        Raises:
            ValueError: if `images` is not such a batch, or a single image in training mode (see `ASPP`).
            TypeError: if `images` is not floating point.
        """
        # The network's own maps: forward() would bring v2's back from even sizes, and blur them before the logits are.
        maps = self.backbone.forward_trunk(images)
        logits = {"out": self.head(maps[-1])}
        if self.aux_head is not None:
            logits["aux"] = self.aux_head(maps[0])
        if not upsample:
            return logits
        size = images.shape[-2:]
        return {name: F.interpolate(x, size=size, mode="bilinear", align_corners=True) for name, x in logits.items()}

    def fuse(self) -> Self:
        """Fold batch normalisation into the convolutions, in place, for inference; returns the model."""
        self.backbone.fuse()
        self.head.fuse()
        if self.aux_head is not None:
            self.aux_head.fuse()
        return self
