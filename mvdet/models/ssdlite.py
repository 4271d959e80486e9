"""SSDLite on MobileViT, called as torchvision calls its detection models."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.variants import VariantSpec
from mvdet.detection import AnchorGenerator, BoxCoder, MultiBoxLoss, postprocess_detections
from mvdet.heads.ssdlite import SSDLiteHead, level_sizes
from mvdet.models.freezing import Freezing

Target = dict[str, Tensor]


class SSDLite(nn.Module):
    """Detector: images to boxes, or, in training, images and targets to losses.

    Args:
        spec: the backbone.
        num_classes: classes, background included, which is class 0; 81 for the published COCO weights.
        in_channels: channels of the images.
        size: (height, width) that the images of a list are resized to; a batch keeps its own.
        output_stride: 8, 16 or 32, of the backbone: smaller values dilate its deeper levels.
        expand_output: let the head read v1's final 1x1 expansion in place of the last level.
        freeze: leave the backbone as it is.
        freeze_batch_norm: leave the backbone's batch normalisation as it is.
        score_threshold: detections score more; this and the next three are the published evaluation's.
        nms_threshold: overlap above which the lower-scored of two boxes of a class is suppressed.
        candidates_per_class: best boxes of a class in an image that are looked at.
        detections_per_image: best detections of an image that are kept.

    Raises:
        ValueError: for fewer than two classes, or options that the backbone does not have.
    """

    def __init__(
        self,
        spec: VariantSpec,
        *,
        num_classes: int = 81,
        in_channels: int = 3,
        size: tuple[int, int] = (320, 320),
        output_stride: int = 32,
        expand_output: bool = False,
        freeze: bool = False,
        freeze_batch_norm: bool = False,
        score_threshold: float = 0.01,
        nms_threshold: float = 0.5,
        candidates_per_class: int = 400,
        detections_per_image: int = 200,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.size = size
        self.score_threshold = score_threshold
        self.nms_threshold = nms_threshold
        self.candidates_per_class = candidates_per_class
        self.detections_per_image = detections_per_image
        self.backbone = MobileViTBackbone(
            spec,
            out_strides=(16, 32),
            output_stride=output_stride,
            in_channels=in_channels,
            expand_output=expand_output,
        )
        self.anchor_generator = AnchorGenerator()
        self.box_coder = BoxCoder()
        self.head = SSDLiteHead(self.backbone.channels, num_classes, self.anchor_generator.num_anchors)
        self.loss = MultiBoxLoss(box_coder=self.box_coder)
        self._freezing = Freezing(self.backbone, whole=freeze, batch_norm=freeze_batch_norm)

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`; what is frozen stays in evaluation mode."""
        super().train(mode)
        self._freezing.apply(self.backbone)
        return self

    def head_outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Images [B, C, H, W], RGB in [0, 1] -> `cls_logits` [B, N, K] and `bbox_regression` [B, N, 4]."""
        outputs: dict[str, Tensor] = self.head(self.backbone(images))
        return outputs

    def anchors(self, height: int, width: int, device: torch.device | str | None = None) -> Tensor:
        """Anchors [N, 4] of images of that size in pixels: (cx, cy, w, h), relative to the image, clipped to 0..1."""
        sizes = [((height + s - 1) // s, (width + s - 1) // s) for s in self.backbone.strides]
        anchors: Tensor = self.anchor_generator(level_sizes(sizes), device)
        return anchors

    def forward(
        self, images: Tensor | Sequence[Tensor], targets: Sequence[Target] | None = None
    ) -> dict[str, Tensor] | list[dict[str, Tensor]]:
        """Losses in training mode, detections otherwise: torchvision's contract.

        Args:
            images: a batch [B, C, H, W], used at its size, or a list of [C, H, W] of any sizes, each resized to `size`;
                RGB in [0, 1].
            targets: for each image `boxes` [n, 4] xyxy in its pixels and `labels` [n] int64, 1 to K - 1. Needed in
                training mode, ignored otherwise.

        Returns:
            `classification` and `bbox_regression`, scalars; or for each image `boxes` [n, 4] xyxy in its pixels,
            `labels` [n] and `scores` [n], best first.

        Raises:
            ValueError: in training mode, for missing or malformed targets; names the image.
        """
        sizes = [(int(image.shape[-2]), int(image.shape[-1])) for image in images]
        batch = images if isinstance(images, Tensor) else self._resized(images)
        anchors = self.anchors(batch.shape[-2], batch.shape[-1], batch.device)
        if self.training:
            boxes, labels = self._relative_targets(targets, sizes, batch.device)
            losses: dict[str, Tensor] = self.loss(self.head_outputs(batch), anchors, boxes, labels)
            return losses
        return self.postprocess(self.head_outputs(batch), anchors, sizes)

    def postprocess(
        self, head_outputs: dict[str, Tensor], anchors: Tensor, image_sizes: Sequence[tuple[int, int]]
    ) -> list[dict[str, Tensor]]:
        """Detections in the pixels of images of `image_sizes` (height, width), with this model's thresholds."""
        return postprocess_detections(
            head_outputs,
            anchors,
            image_sizes,
            score_threshold=self.score_threshold,
            nms_threshold=self.nms_threshold,
            candidates_per_class=self.candidates_per_class,
            detections_per_image=self.detections_per_image,
            box_coder=self.box_coder,
        )

    def fuse(self) -> Self:
        """Fold batch normalisation into the convolutions, in place, for inference; returns the model."""
        self.backbone.fuse()
        self.head.fuse()
        return self

    def _resized(self, images: Sequence[Tensor]) -> Tensor:
        """[C, H, W] of any sizes -> [B, C, *size], bilinear with antialiasing, as the training images are."""
        return torch.cat([F.interpolate(image[None], self.size, mode="bilinear", antialias=True) for image in images])

    def _relative_targets(
        self, targets: Sequence[Target] | None, sizes: Sequence[tuple[int, int]], device: torch.device
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Boxes relative to their images, and labels; checked, because a bad one would only show as a loss of NaN."""
        if targets is None or len(targets) != len(sizes):
            found = "none" if targets is None else str(len(targets))
            raise ValueError(f"training needs targets for {len(sizes)} images, got {found}")
        boxes, labels = [], []
        for index, (target, (height, width)) in enumerate(zip(targets, sizes, strict=True)):
            image_boxes, image_labels = target["boxes"].to(device), target["labels"].to(device)
            if image_boxes.dim() != 2 or image_boxes.shape[-1] != 4 or image_labels.shape != image_boxes.shape[:1]:
                raise ValueError(
                    f"target {index}: boxes must be [n, 4] and labels [n], "
                    f"got {list(image_boxes.shape)} and {list(image_labels.shape)}"
                )
            flat = ~(image_boxes[:, 2:] > image_boxes[:, :2]).all(dim=1)  # NaN counts as without area
            if flat.any():
                raise ValueError(f"target {index}: box {image_boxes[flat][0].tolist()} (xyxy) has no area")
            if ((image_labels < 1) | (image_labels >= self.num_classes)).any():
                found_labels = sorted(set(image_labels.tolist()))
                raise ValueError(f"target {index}: labels must be 1 to {self.num_classes - 1}, got {found_labels}")
            boxes.append(image_boxes.float() / torch.tensor([width, height, width, height], device=device))
            labels.append(image_labels)
        return boxes, labels
