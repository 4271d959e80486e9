"""Top-1 and top-5 accuracy."""

from torch import Tensor


def correct_at(logits: Tensor, labels: Tensor, *, most: int = 5) -> list[tuple[bool, bool]]:
    """For each image, whether its class has the highest logit, and whether it is among the `most` highest.

    Args:
        logits: [B, K]; NaN is never right.
        labels: [B] int64.
        most: ranks that count; all of them where there are fewer classes.
    """
    ranked = logits.topk(min(most, logits.shape[1]), dim=1).indices  # [B, most]
    hits = (ranked == labels[:, None]) & ~logits.isnan().any(dim=1, keepdim=True)
    return [(bool(row[0]), bool(row.any())) for row in hits.cpu()]
