"""Windows over an image, and segmentation networks on data sets whose classes are numbered in another way."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mvdet import create_model
from mvdet.data.datasets.masks import FolderSegmentation
from mvdet.data.io.masks import read_mask, write_mask
from mvdet.data.transforms.segmentation import eval_transform as mask_transform
from mvdet.evaluation.run.segmentation import (
    default_stride,
    run_segmenter,
    segment_batch,
    sliding_window_logits,
    window_starts,
)
from mvdet.models.trained import TrainedSegmenter


@pytest.mark.parametrize("length", range(6, 30))
@pytest.mark.parametrize("stride", [1, 3, 4, 6])
def test_every_pixel_is_covered(length: int, stride: int) -> None:
    starts = window_starts(length, 6, stride)
    covered = {pixel for start in starts for pixel in range(start, start + 6)}
    assert covered == set(range(length))
    assert len(starts) == len(set(starts)) == 1 + -(-(length - 6) // stride)  # the fewest that do


def test_the_default_stride() -> None:
    assert default_stride((512, 256)) == (341, 170)
    assert default_stride((1, 1)) == (1, 1)


@pytest.fixture
def network(randomise: Callable[[nn.Module], None], spread_out: Callable[..., None]) -> nn.Module:
    model = create_model("deeplabv3_mobilevit_xxs", num_classes=5, aspp_channels=16, atrous_rates=(1, 2, 3))
    randomise(model)
    spread_out(model.eval(), model.head.classifier, torch.rand(2, 3, 64, 96))
    return model


def test_an_image_of_one_window_is_a_whole_image(network: nn.Module) -> None:
    image = torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)
    whole = segment_batch(network, image, [(64, 96)], "cpu")
    windows = segment_batch(network, image, [(64, 96)], "cpu", window=(64, 96))
    assert len(whole[0].unique()) > 1
    assert torch.equal(whole[0], windows[0])
    with torch.no_grad():
        logits = sliding_window_logits(lambda x: network(x)["out"], image / 255, (64, 96))
        assert torch.allclose(logits, network(image / 255)["out"], atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_overlaps_are_averaged(batch_size: int) -> None:
    """Against a loop over pixels, for a network whose logits depend on the place within the window."""
    window, stride = (4, 6), (3, 4)
    place = torch.arange(24.0).view(1, 1, *window)

    def logits_of(crops: Tensor) -> Tensor:
        assert crops.shape[-2:] == window
        return torch.cat([crops[:, :1] + place, -crops[:, :1] * place], dim=1)

    images = torch.rand(2, 3, 11, 14)
    found = sliding_window_logits(logits_of, images, window, stride=stride, batch_size=batch_size)
    assert found.shape == (2, 2, 11, 14)
    tops, lefts = (0, 3, 6, 7), (0, 4, 8)
    for y in range(11):
        for x in range(14):
            here = [
                place[0, 0, y - top, x - left] for top in tops for left in lefts
                if 0 <= y - top < 4 and 0 <= x - left < 6
            ]  # fmt: skip
            mean = sum(here) / len(here)
            assert torch.allclose(found[:, 0, y, x], images[:, 0, y, x] + mean)
            assert torch.allclose(found[:, 1, y, x], -images[:, 0, y, x] * mean, atol=1e-5)


@pytest.mark.parametrize(("size", "expected"), [((5, 20), (8, 32)), ((20, 3), (53, 8)), ((4, 4), (8, 8))])
def test_small_images_are_enlarged_with_their_aspect_ratio(size: tuple[int, int], expected: tuple[int, int]) -> None:
    found = sliding_window_logits(lambda x: x, torch.full((1, 2, *size), 0.5), (8, 8))
    assert found.shape == (1, 2, *expected)
    assert torch.allclose(found, torch.tensor(0.5))


def test_results_have_the_stored_size(network: nn.Module) -> None:
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in ((30, 90), (100, 64))]
    found = segment_batch(network, images, [(30, 90), (100, 64)], "cpu", window=(64, 64), batch_size=2)
    assert [labels.shape for labels in found] == [(30, 90), (100, 64)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": (0, 4)}, r"window and batch_size must be at least 1, got \(0, 4\) and 4"),
        ({"window": (4, 4), "stride": (5, 1)}, r"stride must be between 1 and the window's \(4, 4\), got \(5, 1\)"),
        ({"window": (4, 4), "stride": (0, 1)}, "stride must be between 1"),
    ],
)
def test_what_cannot_be(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sliding_window_logits(lambda x: x, torch.zeros(1, 1, 8, 8), **options)


@pytest.fixture
def masks(tmp_path: Path, colours: dict[str, tuple[int, int, int]]) -> FolderSegmentation:
    """Two pictures of different sizes, red, green and blue in stripes, with their masks; blue is 0, red 1, green 2."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for name, height, width in (("a", 24, 30), ("b", 40, 24)):
        labels = np.arange(width, dtype=np.uint8)[None].repeat(height, axis=0) * 3 // width
        write_mask(tmp_path / "masks" / f"{name}.png", labels.astype(np.uint8))
        palette = np.array([colours["blue"], colours["red"], colours["green"]], np.uint8)
        Image.fromarray(palette[labels]).save(tmp_path / "images" / f"{name}.png")
    return FolderSegmentation(
        tmp_path / "images", tmp_path / "masks", ("blue", "red", "green"), train=False, transform=mask_transform
    )


@pytest.mark.parametrize("sliding_window", [False, True])
def test_classes_are_found_by_name(masks: FolderSegmentation, sliding_window: bool, brightest: type[nn.Module]) -> None:
    segmenter = TrainedSegmenter(brightest(pixels=True).eval(), ("red", "green", "blue"), (24, 24))
    found = list(run_segmenter(segmenter, masks, sliding_window=sliding_window))
    assert [one.record.image_id for one in found] == [1, 2]
    for one in found:
        wrong = one.labels != one.mask
        assert one.labels.shape == read_mask(one.record.mask_file, 3).shape
        assert float(wrong.float().mean()) < 0.05  # where stripes meet, the picture was resized
        if sliding_window:
            assert not wrong.any()
    assert (masks.size, masks.transform) == ((512, 512), mask_transform)


def test_data_sets_that_cannot_be_evaluated(masks: FolderSegmentation, brightest: type[nn.Module]) -> None:
    segmenter = TrainedSegmenter(brightest(pixels=True), ("red", "green", "blue"), (24, 24))
    masks.transform = None
    with pytest.raises(ValueError, match="whole images are resized by the data set's transform, it has none"):
        next(run_segmenter(segmenter, masks))
    masks.train = True
    with pytest.raises(ValueError, match="masks are evaluated on a data set made with train=False"):
        next(run_segmenter(segmenter, masks))
