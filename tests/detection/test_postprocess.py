import pytest
import torch
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection._utils import BoxCoder as TorchvisionCoder
from torchvision.ops import box_convert

from mvdet.detection import AnchorGenerator, postprocess_detections

LEVELS = [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]


@pytest.mark.parametrize("background", [0.0, 4.0, 7.0, 12.0])
@pytest.mark.parametrize(("per_class", "per_image"), [(400, 200), (5, 200), (400, 10), (50, 3000)])
def test_torchvision_keeps_the_same(background: float, per_class: int, per_image: int) -> None:
    """From a network that finds something everywhere to one that finds nothing."""
    anchors = AnchorGenerator()(LEVELS)
    outputs = {"cls_logits": torch.randn(3, len(anchors), 11), "bbox_regression": torch.randn(3, len(anchors), 4)}
    outputs["cls_logits"][..., 0] += background
    theirs = ssdlite320_mobilenet_v3_large(
        weights=None,
        weights_backbone=None,
        num_classes=11,
        score_thresh=0.01,
        nms_thresh=0.5,
        topk_candidates=per_class,
        detections_per_img=per_image,
    )
    theirs.box_coder = TorchvisionCoder(weights=(10.0, 10.0, 5.0, 5.0))
    sizes = [(320, 320), (200, 480), (64, 64)]
    corners = box_convert(anchors, "cxcywh", "xyxy")
    pixels = [corners * torch.tensor([w, h, w, h]) for h, w in sizes]
    wanted = theirs.postprocess_detections(outputs, pixels, sizes)
    found = postprocess_detections(
        outputs, anchors, sizes, candidates_per_class=per_class, detections_per_image=per_image, clip_first=True
    )
    for x, y in zip(found, wanted, strict=True):
        assert torch.equal(x["labels"], y["labels"])
        torch.testing.assert_close(x["scores"], y["scores"])
        torch.testing.assert_close(x["boxes"], y["boxes"], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("threshold", [0.0, 0.001, 0.05, 0.5, 0.999])
@pytest.mark.parametrize("background", [0.0, 5.0])
def test_every_score_above_the_threshold_is_looked_at(threshold: float, background: float) -> None:
    """No anchor is passed over by the shortcut before the softmax: nothing overlaps here, so all are found."""
    side = 12
    ticks = (torch.arange(side) + 0.5) / side
    centres = torch.cartesian_prod(ticks, ticks)
    anchors = torch.cat((centres, torch.full_like(centres, 0.5 / side)), dim=1)
    logits = 3 * torch.randn(2, len(anchors), 4)
    logits[..., 0] += background
    logits[0, :, 0] += 20  # one image finds next to nothing
    outputs = {"cls_logits": logits, "bbox_regression": torch.zeros(2, len(anchors), 4)}
    found = postprocess_detections(
        outputs, anchors, [(100, 100)] * 2, score_threshold=threshold, detections_per_image=10**6
    )
    for image, scores in zip(found, logits.softmax(dim=-1)[..., 1:], strict=True):
        wanted = scores[scores > threshold].sort(descending=True).values
        torch.testing.assert_close(image["scores"], wanted)


def test_boxes_end_inside_the_image() -> None:
    anchors = AnchorGenerator()(LEVELS)
    outputs = {"cls_logits": torch.randn(1, len(anchors), 3), "bbox_regression": 20 * torch.randn(1, len(anchors), 4)}
    (found,) = postprocess_detections(outputs, anchors, [(100, 50)])
    assert len(found["boxes"]) == 200
    assert (found["boxes"] >= 0).all()
    assert (found["boxes"] <= torch.tensor([50, 100, 50, 100])).all()
    assert (found["scores"].diff() <= 0).all()


def test_nothing_found() -> None:
    anchors = AnchorGenerator()(LEVELS)
    outputs = {"cls_logits": torch.zeros(2, len(anchors), 3), "bbox_regression": torch.zeros(2, len(anchors), 4)}
    outputs["cls_logits"][..., 0] = 100
    for found in postprocess_detections(outputs, anchors, [(320, 320)] * 2):
        assert {key: tuple(value.shape) for key, value in found.items()} == {
            "boxes": (0, 4),
            "scores": (0,),
            "labels": (0,),
        }
