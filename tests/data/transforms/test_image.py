from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms.v2 import functional as F

from mvdet.data.transforms.image import AntialiasedResize, PhotometricDistortion

Picture = NDArray[np.uint8]

OFF: dict[str, Any] = {
    "brightness": None,
    "contrast": None,
    "saturation": None,
    "hue": None,
    "contrast_first": True,
    "channels": None,
}


@pytest.fixture
def picture() -> Picture:
    """[96, 128, 3] smooth colours, all hues, from black to white."""
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (128, 96), interpolation=cv2.INTER_CUBIC))


# Resize


@pytest.mark.parametrize(("height", "width"), [(320, 320), (48, 64), (31, 150), (96, 128), (1, 1)])
def test_resize_is_pillows_bilinear(picture: Picture, height: int, width: int) -> None:
    image = AntialiasedResize(height, width)(image=picture)["image"]
    assert (image.shape, image.dtype, image.flags.c_contiguous) == ((height, width, 3), np.uint8, True)
    wanted = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(image.astype(int), wanted.astype(int), atol=1)


def test_resize_follows_albumentations_for_masks(picture: Picture) -> None:
    mask = (picture[..., 0] > 100).astype(np.uint8) * 200
    result = AntialiasedResize(40, 30)(image=picture, mask=mask)["mask"]
    assert result.shape == (40, 30)
    assert set(np.unique(result)) == {0, 200}  # nearest


@pytest.mark.parametrize("size", [(0, 10), (10, -1)])
def test_resize_to_nothing_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"height and width must be at least 1, got"):
        AntialiasedResize(*size)


def test_pillows_arrays_are_resized_without_a_warning(picture: Picture, recwarn: pytest.WarningsRecorder) -> None:
    fixed = np.asarray(Image.fromarray(picture))
    assert not fixed.flags.writeable
    assert AntialiasedResize(20, 20)(image=fixed)["image"].shape == (20, 20, 3)
    assert not recwarn.list


# Colours


@pytest.mark.parametrize(
    ("name", "factor", "reference"),
    [
        ("brightness", 0.875, F.adjust_brightness),
        ("brightness", 1.125, F.adjust_brightness),
        ("contrast", 0.5, F.adjust_contrast),
        ("contrast", 1.5, F.adjust_contrast),
        ("saturation", 0.5, F.adjust_saturation),
        ("saturation", 1.5, F.adjust_saturation),
        ("hue", -0.05, F.adjust_hue),
        ("hue", 0.05, F.adjust_hue),
    ],
)
def test_each_colour_change_is_torchvisions(
    picture: Picture, name: str, factor: float, reference: Callable[[torch.Tensor, float], torch.Tensor]
) -> None:
    result = PhotometricDistortion().apply(picture, **(OFF | {name: factor}))
    wanted = reference(torch.from_numpy(picture).permute(2, 0, 1), factor).permute(1, 2, 0).numpy()
    difference = np.abs(result.astype(int) - wanted.astype(int))
    # OpenCV counts hues in steps of 2 degrees, and rounds where torchvision cuts off
    assert difference.mean() < (3.0 if name == "hue" else 1.0)
    assert difference.max() <= (12 if name == "hue" else 2)
    assert np.abs(result.astype(int) - picture).mean() > 4  # and it did change


@pytest.mark.parametrize("channels", [[0, 1, 2], [2, 0, 1], [1, 0, 2]])
def test_channels_are_reordered(picture: Picture, channels: list[int]) -> None:
    result = PhotometricDistortion().apply(picture, **(OFF | {"channels": channels}))
    assert np.array_equal(result, picture[..., channels])


def test_contrast_comes_first_or_last(picture: Picture) -> None:
    values = {"contrast": 1.5, "saturation": 0.5, "hue": 0.05}
    first, last = (
        PhotometricDistortion().apply(picture, **(OFF | values | {"contrast_first": flag})) for flag in (True, False)
    )
    assert not np.array_equal(first, last)
    stretched = PhotometricDistortion().apply(picture, **(OFF | {"contrast": 1.5}))
    later = PhotometricDistortion().apply(stretched, **(OFF | {"saturation": 0.5, "hue": 0.05}))
    assert np.array_equal(first, later)


def test_draws_keep_to_their_ranges_and_probabilities() -> None:
    distortion = PhotometricDistortion()
    distortion.set_random_seed(0)
    draws = [distortion.get_params() for _ in range(4000)]
    ranges = {"brightness": (0.875, 1.125), "contrast": (0.5, 1.5), "saturation": (0.5, 1.5), "hue": (-0.05, 0.05)}
    for name, (low, high) in ranges.items():
        values = [draw[name] for draw in draws if draw[name] is not None]
        assert len(values) / len(draws) == pytest.approx(0.5, abs=0.04)
        assert low <= min(values) < low + 0.01 * (high - low)
        assert high >= max(values) > high - 0.01 * (high - low)
    assert np.mean([draw["contrast_first"] for draw in draws]) == pytest.approx(0.5, abs=0.04)
    orders = [tuple(draw["channels"]) for draw in draws if draw["channels"] is not None]
    assert len(orders) / len(draws) == pytest.approx(0.5, abs=0.04)
    assert len(set(orders)) == 6


@pytest.mark.parametrize("value", [0, 255])
def test_black_and_white_stay_in_range(value: int) -> None:
    distortion = PhotometricDistortion()
    distortion.set_random_seed(0)
    flat = np.full((4, 4, 3), value, dtype=np.uint8)
    for _ in range(50):
        result = distortion(image=flat)["image"]
        assert (result.dtype, result.shape) == (np.uint8, (4, 4, 3))
        assert np.abs(result.astype(int) - value).max() <= 32  # no overflow: brightness changes 255 by an eighth


def test_never(picture: Picture) -> None:
    assert np.array_equal(PhotometricDistortion(each=0.0)(image=picture)["image"], picture)
