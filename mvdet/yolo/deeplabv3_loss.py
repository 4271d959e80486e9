"""DeepLabV3's loss under ultralytics."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mvdet.training.segmentation_loss import PUBLISHED_AUX_LOSS, pixel_cross_entropy


class DeepLabV3Criterion:
    """Cross-entropy of both heads as ultralytics calls a loss: logits and a batch of its own data loader.

    Args:
        model: whose head is a `DeepLabV3SemanticSegment`.

    Raises:
        ValueError: for class weights (`cls_pw`), which the loss does not have.
    """

    def __init__(self, model: nn.Module) -> None:
        if getattr(model, "class_weights", None) is not None:
            raise ValueError("DeepLabV3's loss has no class weights: cls_pw must be 0")
        self.has_auxiliary = model.model[-1].auxiliary is not None  # type: ignore[index, union-attr]

    def __call__(
        self, predictions: Tensor | tuple[Tensor, Tensor], batch: dict[str, Tensor]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum times the number of images, for the gradient, and the parts: `ce_loss` and, with such a head,
        `aux_loss`, which is weighted, and 0 outside training.

        Args:
            predictions: what the head returns, in training or otherwise.
            batch: `semantic_mask` [B, H, W] integers, 255 where a pixel does not count.
        """
        main, auxiliary = predictions if isinstance(predictions, tuple) else (predictions, None)
        masks = batch["semantic_mask"].to(main.device).long()
        losses = {"ce_loss": _loss(main, masks)}
        if self.has_auxiliary:
            aux = main.new_zeros(()) if auxiliary is None else _loss(auxiliary, masks)
            losses["aux_loss"] = PUBLISHED_AUX_LOSS * aux
        total = torch.stack(list(losses.values())).sum()
        return total * len(main), {name: loss.detach() for name, loss in losses.items()}


def _loss(logits: Tensor, masks: Tensor) -> Tensor:
    stretched = F.interpolate(logits, size=masks.shape[-2:], mode="bilinear", align_corners=True)
    return pixel_cross_entropy(stretched, masks)
