import pytest
import torch

from mvdet.heads import SSDLiteHead

ANCHORS = (6, 6, 6, 6, 6, 4)


def test_predictions_are_ordered_as_the_anchors_are() -> None:
    """Where a predictor's bias alone speaks, each anchor of each level gives its own class and offsets."""
    head = SSDLiteHead((8, 16), num_classes=3, num_anchors=ANCHORS).eval()
    for level, predictor in enumerate(head.predictors):
        last = predictor if level == 5 else predictor.pointwise
        torch.nn.init.zeros_(last.weight)
        values = torch.arange(ANCHORS[level])[:, None] * 10 + torch.arange(7) + 100 * level
        last.bias.data.copy_(values.flatten())
    with torch.no_grad():
        out = head([torch.rand(2, 8, 5, 3), torch.rand(2, 16, 3, 2)])
    cells = (15, 6, 2, 1, 1, 1)
    wanted = [100 * level + 10 * a for level, n in enumerate(cells) for _ in range(n) for a in range(ANCHORS[level])]
    assert out["bbox_regression"].shape == (2, sum(c * a for c, a in zip(cells, ANCHORS, strict=True)), 4)
    assert out["cls_logits"].shape == (*out["bbox_regression"].shape[:2], 3)
    assert out["bbox_regression"][1, :, 0].tolist() == wanted
    assert out["bbox_regression"][0, :, 3].tolist() == [x + 3 for x in wanted]
    assert out["cls_logits"][1, :, 2].tolist() == [x + 6 for x in wanted]


def test_fusing_changes_nothing() -> None:
    head = SSDLiteHead((8, 16), num_classes=3, num_anchors=ANCHORS).eval()
    for layer in head.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.2, 0.2)
            layer.running_var.uniform_(0.5, 1.5)
    maps = [torch.rand(2, 8, 5, 3), torch.rand(2, 16, 3, 2)]
    before = head(maps)
    after = head.fuse()(maps)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in head.modules())
    for key, value in before.items():
        torch.testing.assert_close(after[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((8,), 3, ANCHORS), r"in_channels must be those of 2 maps, got \[8\]"),
        (((8, 16), 1, ANCHORS), "num_classes must be at least 2, background included, got 1"),
        (((8, 16), 3, (6, 6)), r"num_anchors must be those of 6 levels, got \[6, 6\]"),
    ],
)
def test_bad_arguments(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SSDLiteHead(*arguments)
