"""The losses of SSDLite and DeepLabV3 as ultralytics calls a loss: a model, then predictions and its own batches."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import box_convert
from ultralytics.utils import DEFAULT_CFG, LOGGER

from mvdet.detection import MultiBoxLoss
from mvdet.heads.deeplabv3 import PUBLISHED_AUX_LOSS, pixel_cross_entropy
from mvdet.yolo.ssdlite import Predictions

LOSS_NAMES = ("box_loss", "cls_loss")
NO_EFFECT = ("box", "cls", "dfl")
"""Gains of YOLO's losses: both of SSDLite's count as they are."""


class SSDLiteCriterion:
    """`mvdet.detection.MultiBoxLoss` for a model whose head is an `SSDLiteDetect`.

    Args:
        model: ultralytics' model; its `args` are the run's settings.

    Raises:
        ValueError: for class weights (`cls_pw`), which the loss does not have.
    """

    def __init__(self, model: nn.Module) -> None:
        _refuse_class_weights(model, "SSDLite")
        settings = getattr(model, "args", None)
        changed = [k for k in NO_EFFECT if getattr(settings, k, None) not in (None, getattr(DEFAULT_CFG, k))]
        if changed:
            LOGGER.warning(f"SSDLite's loss has no gains: {', '.join(changed)} have no effect")
        self.loss = MultiBoxLoss()

    def __call__(
        self, predictions: Predictions | tuple[Tensor, Predictions], batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The losses of one batch.

        Args:
            predictions: what the head returns, in training or otherwise.
            batch: `batch_idx` [n], `cls` [n, 1] from 0 and `bboxes` [n, 4] cxcywh relative to their images.

        Returns:
            Both losses times the number of images [2], for the gradient, and both as they are, by `LOSS_NAMES`.
        """
        raw = predictions[1] if isinstance(predictions, tuple) else predictions
        size = len(raw["cls_logits"])
        losses = self.loss(raw, raw["anchors"], *_targets(batch, size, raw["cls_logits"].device))
        parts = torch.stack([losses["bbox_regression"], losses["classification"]])
        return parts * size, dict(zip(LOSS_NAMES, parts.detach(), strict=True))


class DeepLabV3Criterion:
    """Cross-entropy of both heads for a model whose head is a `DeepLabV3SemanticSegment`.

    Args:
        model: ultralytics' model.

    Raises:
        ValueError: for class weights (`cls_pw`), which the loss does not have.
    """

    def __init__(self, model: nn.Module) -> None:
        _refuse_class_weights(model, "DeepLabV3")
        self.has_auxiliary = model.model[-1].auxiliary is not None  # type: ignore[index, union-attr]

    def __call__(
        self, predictions: Tensor | tuple[Tensor, Tensor], batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The losses of one batch.

        Args:
            predictions: what the head returns, in training or otherwise.
            batch: `semantic_mask` [B, H, W] integers, 255 where a pixel does not count.

        Returns:
            The sum of the losses times the number of images, for the gradient, and each by its name: `ce_loss` and,
            with an auxiliary head, `aux_loss`, which is weighted already, and 0 outside training.
        """
        main, auxiliary = predictions if isinstance(predictions, tuple) else (predictions, None)
        masks = batch["semantic_mask"].to(main.device).long()
        losses = {"ce_loss": _stretched_cross_entropy(main, masks)}
        if self.has_auxiliary:
            aux = main.new_zeros(()) if auxiliary is None else _stretched_cross_entropy(auxiliary, masks)
            losses["aux_loss"] = PUBLISHED_AUX_LOSS * aux
        total = torch.stack(list(losses.values())).sum()
        return total * len(main), {name: loss.detach() for name, loss in losses.items()}


def _refuse_class_weights(model: nn.Module, loss: str) -> None:
    if getattr(model, "class_weights", None) is not None:
        raise ValueError(f"{loss}'s loss has no class weights: cls_pw must be 0")


def _targets(batch: dict[str, Tensor], size: int, device: torch.device) -> tuple[list[Tensor], list[Tensor]]:
    """Boxes [n, 4] xyxy, relative, and labels [n] from 1 of each image; what augmentation left without area is out."""
    boxes = box_convert(batch["bboxes"].to(device).float(), "cxcywh", "xyxy")
    labels = batch["cls"].to(device).view(-1).long() + 1
    image = batch["batch_idx"].to(device).view(-1).long()
    kept = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    boxes, labels, image = boxes[kept], labels[kept], image[kept]
    order = image.argsort(stable=True)
    counts = image.bincount(minlength=size).tolist()
    return list(torch.split(boxes[order], counts)), list(torch.split(labels[order], counts))


def _stretched_cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy of logits [B, C, h, w] at the size of the masks [B, H, W], stretched as in prediction."""
    stretched = F.interpolate(logits, size=masks.shape[-2:], mode="bilinear", align_corners=True)
    return pixel_cross_entropy(stretched, masks)
