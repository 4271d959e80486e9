import pytest
import torch
from torch.nn import functional as F
from torchvision.ops import box_convert

from mvdet.detection import AnchorGenerator, BoxCoder, MultiBoxLoss
from mvdet.detection.matcher import match_anchors


@pytest.fixture
def anchors() -> torch.Tensor:
    return AnchorGenerator()([(4, 6), (2, 3), (1, 2), (1, 1), (1, 1), (1, 1)])


def objects(counts: list[int]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    boxes = [torch.cat([torch.rand(n, 2) * 0.5, 0.6 + torch.rand(n, 2) * 0.4], dim=1) for n in counts]
    return boxes, [torch.randint(1, 5, (n,)) for n in counts]


def head_outputs(anchors: torch.Tensor, batch: int) -> dict[str, torch.Tensor]:
    return {
        "cls_logits": torch.randn(batch, len(anchors), 5, requires_grad=True),
        "bbox_regression": torch.randn(batch, len(anchors), 4, requires_grad=True),
    }


@pytest.mark.parametrize("counts", [[3, 1, 0, 2], [1], [0, 4]])
def test_against_one_image_and_one_anchor_at_a_time(counts: list[int], anchors: torch.Tensor) -> None:
    outputs, (boxes, labels) = head_outputs(anchors, len(counts)), objects(counts)
    losses = MultiBoxLoss()(outputs, anchors, boxes, labels)

    box_loss = class_loss = torch.zeros(())
    positives = 0
    for image, count in enumerate(counts):
        corners = box_convert(anchors, "cxcywh", "xyxy")
        valid = torch.ones(1, count, dtype=torch.bool)
        matched = match_anchors(boxes[image][None], valid, corners)[0].tolist()
        background = []
        own = [a for a, box in enumerate(matched) if box >= 0]
        for anchor, box in enumerate(matched):
            logits = outputs["cls_logits"][image, anchor]
            if box < 0:
                background.append(F.cross_entropy(logits, torch.tensor(0)))
                continue
            wanted = BoxCoder().encode(box_convert(boxes[image][box], "xyxy", "cxcywh"), anchors[anchor])
            box_loss = box_loss + F.smooth_l1_loss(outputs["bbox_regression"][image, anchor], wanted, reduction="sum")
            class_loss = class_loss + F.cross_entropy(logits, labels[image][box])
        hardest = sorted(background, key=float, reverse=True)[: 3 * len(own)]
        class_loss = class_loss + sum(hardest)
        positives += len(own)
    torch.testing.assert_close(losses["bbox_regression"], box_loss / positives)
    torch.testing.assert_close(losses["classification"], class_loss / positives)


def test_images_without_objects_give_zero_and_a_gradient(anchors: torch.Tensor) -> None:
    outputs, (boxes, labels) = head_outputs(anchors, 2), objects([0, 0])
    losses = MultiBoxLoss()(outputs, anchors, boxes, labels)
    assert [float(value) for value in losses.values()] == [0.0, 0.0]
    sum(losses.values()).backward()
    assert not outputs["cls_logits"].grad.any()


def test_perfect_outputs_cost_nothing(anchors: torch.Tensor) -> None:
    boxes, labels = objects([2])
    matched = match_anchors(boxes[0][None], torch.ones(1, 2, dtype=torch.bool), box_convert(anchors, "cxcywh", "xyxy"))
    wanted = box_convert(boxes[0][matched[0].clamp(min=0)], "xyxy", "cxcywh")
    classes = torch.where(matched[0] >= 0, labels[0][matched[0].clamp(min=0)], 0)
    outputs = {
        "bbox_regression": BoxCoder().encode(wanted, anchors)[None],
        "cls_logits": F.one_hot(classes, 5)[None] * 100.0,
    }
    losses = MultiBoxLoss()(outputs, anchors, boxes, labels)
    assert max(float(value) for value in losses.values()) < 1e-6
