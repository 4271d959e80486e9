"""From scores of all anchors to detections."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import nms

from mvdet.detection.box_coder import BoxCoder

_ROUNDING = 1e-3  # of differences of logits, generously; an anchor too many costs nothing
_FIRST_CANDIDATES = 1024  # several times what is kept of an image: nearly always enough


def postprocess_detections(
    head_outputs: dict[str, Tensor],
    anchors: Tensor,
    image_sizes: Sequence[tuple[int, int]],
    *,
    score_threshold: float = 0.01,
    nms_threshold: float = 0.5,
    candidates_per_class: int = 400,
    detections_per_image: int = 200,
    clip_first: bool = False,
    box_coder: BoxCoder | None = None,
) -> list[dict[str, Tensor]]:
    """Suppress what overlaps a better detection of its class, and keep the best of each image.

    Whether a box is suppressed depends on better boxes alone. So the candidates are taken best first, over all classes
    at once, and no more of them than it takes to find what is kept; anchors that cannot be among them are not decoded.

    Args:
        head_outputs: `cls_logits` [B, N, K], background first, and `bbox_regression` [B, N, 4].
        anchors: [N, 4] cxcywh, relative to the image.
        image_sizes: (height, width) in pixels of each image, for the boxes.
        score_threshold: detections score more.
        nms_threshold: overlap above which the lower-scored of two boxes of a class is suppressed.
        candidates_per_class: best boxes of a class in an image that are looked at.
        detections_per_image: best detections of an image that are kept.
        clip_first: clip boxes to the image before the suppression, as torchvision does, rather than after it, as
            ml-cvnets does.
        box_coder: decodes the offsets; None takes SSD's variances.

    Returns:
        For each image `boxes` [n, 4] float32 xyxy in pixels, inside the image, `scores` [n] float32, descending, and
        `labels` [n] int64, 1 to K - 1.
    """
    coder = box_coder or BoxCoder()
    chosen, logits = _promising(head_outputs["cls_logits"].float(), score_threshold)  # [B, A], [B, A, K]
    foreground = logits.softmax(dim=-1)[..., 1:]
    classes = foreground.shape[-1]
    scores = foreground.flatten(1)  # [B, A * (K - 1)]
    offsets = head_outputs["bbox_regression"]
    sizes = torch.tensor([[w, h, w, h] for h, w in image_sizes], dtype=torch.float32, device=scores.device)
    available = int((scores > score_threshold).sum(dim=1).max())
    count = min(_FIRST_CANDIDATES, available)
    while True:
        score, index = scores.topk(count, dim=1)  # [B, M]
        anchor, label = chosen.gather(1, index // classes), index % classes
        candidate = (score > score_threshold) & (_rank_in_class(label, classes) < candidates_per_class)
        picked = offsets.gather(1, anchor[..., None].expand(-1, -1, 4))
        boxes = coder.decode(picked, anchors[anchor]) * sizes[:, None]  # [B, M, 4]
        if clip_first:
            boxes = _clip(boxes, sizes)
        kept = [
            rows[_suppress(b[rows], s[rows], c[rows], nms_threshold)[:detections_per_image]]
            for b, s, c, rows in zip(boxes, score, label, (row.nonzero()[:, 0] for row in candidate), strict=True)
        ]
        if count == available:
            break
        exhausted = (score[:, -1] <= score_threshold).tolist()
        if all(done or len(rows) >= detections_per_image for done, rows in zip(exhausted, kept, strict=True)):
            break
        count = min(4 * count, available)
    boxes = _clip(boxes, sizes)
    return [
        {"boxes": b[rows], "scores": s[rows], "labels": c[rows] + 1}
        for b, s, c, rows in zip(boxes, score, label, kept, strict=True)
    ]


def _promising(logits: Tensor, score_threshold: float) -> tuple[Tensor, Tensor]:
    """Anchors that a class may pass the threshold at, and their logits: [B, N, K] -> indices [B, A], logits [B, A, K].

    The softmax divides by no less than the background's term, so a class's lead over the background bounds its score
    without an exponential. A is the largest number of such anchors in an image: few in a trained network, so that the
    softmax and the sorting of its scores, which are most of the work otherwise, are of few anchors too.
    """
    lead = logits[..., 1:].amax(dim=-1) - logits[..., 0]
    least = math.log(score_threshold) - _ROUNDING if score_threshold > 0 else -math.inf
    chosen = lead.topk(int((lead > least).sum(dim=1).max()), dim=1).indices
    return chosen, logits.gather(1, chosen[..., None].expand(-1, -1, logits.shape[-1]))


def _rank_in_class(label: Tensor, classes: int) -> Tensor:
    """How many earlier entries of the row have the same label: [B, M] -> [B, M]."""
    one_hot = label[..., None] == torch.arange(classes, device=label.device)
    return one_hot.cumsum(dim=1, dtype=torch.int32).gather(2, label[..., None])[..., 0] - 1


def _suppress(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression within each class, in one call: classes are moved apart, in double precision."""
    if not len(boxes):
        return torch.empty(0, dtype=torch.int64, device=boxes.device)
    boxes = boxes.double()
    extent = boxes.max() - boxes.min() + 1
    kept: Tensor = nms(boxes + (labels * extent)[:, None], scores.double(), threshold)
    return kept


def _clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """[B, M, 4] boxes moved inside images of `sizes` [B, 4], which are (w, h, w, h)."""
    return torch.minimum(boxes.clamp(min=0), sizes[:, None])
