import pytest
import torch
from torchvision.ops import box_iou

from mvdet.detection.matcher import BACKGROUND, match_anchors


def random_boxes(*shape: int) -> torch.Tensor:
    corner = torch.rand(*shape, 2) * 0.7
    return torch.cat([corner, corner + 0.05 + torch.rand(*shape, 2) * 0.3], dim=-1)


def by_hand(boxes: torch.Tensor, anchors: torch.Tensor, threshold: float) -> list[int]:
    """One image, one anchor at a time."""
    iou = box_iou(boxes, anchors)
    matched = [int(iou[:, a].argmax()) if iou[:, a].max() >= threshold else BACKGROUND for a in range(len(anchors))]
    claims: dict[int, int] = {}
    for box in range(len(boxes)):
        anchor = int(iou[box].argmax())
        if anchor not in claims or iou[box, anchor] > iou[claims[anchor], anchor]:
            claims[anchor] = box
    for anchor, box in claims.items():
        matched[anchor] = box
    return matched


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
@pytest.mark.parametrize("seed", range(5))
def test_a_batch_is_matched_as_image_by_image(seed: int, threshold: float) -> None:
    torch.manual_seed(seed)
    boxes, anchors, counts = random_boxes(4, 9), random_boxes(60), [9, 3, 1, 0]
    valid = torch.arange(9) < torch.tensor(counts)[:, None]
    matched = match_anchors(boxes, valid, anchors, iou_threshold=threshold)
    for image, count in enumerate(counts):
        wanted = by_hand(boxes[image, :count], anchors, threshold) if count else [BACKGROUND] * 60
        assert matched[image].tolist() == wanted


def test_every_object_keeps_an_anchor_however_small() -> None:
    boxes = torch.tensor([[[0.5, 0.5, 0.501, 0.501]]])
    matched = match_anchors(boxes, torch.tensor([[True]]), random_boxes(200), iou_threshold=0.5)
    assert (matched >= 0).sum() == 1


def test_no_objects_at_all() -> None:
    matched = match_anchors(torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.bool), random_boxes(7))
    assert matched.tolist() == [[BACKGROUND] * 7] * 2
