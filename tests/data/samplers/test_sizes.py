import inspect
import math
import random
from fractions import Fraction

import numpy as np
import pytest

from mvdet.data import MultiScaleBatchSampler, size_batch_pairs
from mvdet.data.samplers.sizes import image_sizes


def brute_force(
    base: tuple[int, int],
    batch: int,
    low: tuple[int, int],
    high: tuple[int, int],
    num_sizes: int,
    divisor: int,
    max_pixels: int | None,
) -> set[tuple[int, int, int]]:
    """Sides in fractions; the multiple of the divisor, and the batch, found by trying one after another."""
    found = set()
    for i in range(num_sizes + 1):
        sides = []
        for axis in (0, 1):
            side = Fraction(base[axis])
            if i < num_sizes:
                share = Fraction(i, num_sizes - 1) if num_sizes > 1 else Fraction(0)
                side = low[axis] + (high[axis] - low[axis]) * share
            multiples = range(0, 2 * math.ceil(side) + divisor, divisor)
            sides.append(min(multiples, key=lambda multiple: (abs(multiple - side), -multiple)))
        height, width = sides
        images = 1
        while (images + 1) * height * width <= base[0] * base[1] * batch:
            images += 1
        while max_pixels is not None and images * height * width > max_pixels:
            images -= 1
        found.add((height, width, images))
    return found


def random_setting(rng: random.Random) -> tuple:
    divisor = rng.choice([1, 2, 3, 7, 8, 16, 32, 32, 64])
    most = rng.choice([4, 20, 200])  # tiny ones among them
    sides = [sorted(rng.randint(divisor, divisor + most) for _ in range(2)) for _ in range(2)]
    low, high = zip(*sides, strict=True)
    base = (rng.randint(divisor, divisor + most), rng.randint(divisor, divisor + most))
    return base, rng.choice([1, 2, 5, 31]), low, high, rng.randint(1, 9), divisor


def test_the_example_of_the_design() -> None:
    pairs = size_batch_pairs((256, 256), 128, (160, 160), (320, 320), 5, 32)
    assert pairs == [(160, 160, 327), (192, 192, 227), (256, 256, 128), (288, 288, 101), (320, 320, 81)]


@pytest.mark.parametrize("seed", range(10))
def test_a_thousand_settings_against_brute_force(seed: int) -> None:
    rng = random.Random(seed)
    seen = set()
    for _ in range(100):
        setting = random_setting(rng)
        largest = max(height * width for height, width in image_sizes(setting[0], *setting[2:]))
        max_pixels = rng.choice([None, largest, largest + rng.randint(0, 10 * largest)])
        pairs = size_batch_pairs(*setting, max_pixels=max_pixels)
        assert set(pairs) == brute_force(*setting, max_pixels)
        assert len(pairs) == len(set(pairs))
        assert pairs == sorted(pairs, key=lambda pair: pair[0] * pair[1])
        assert all(isinstance(number, int) for pair in pairs for number in pair)
        seen |= {height == width for height, width, _ in pairs}
    assert seen == {True, False}


def test_sides_are_paired_before_sizes_are_made_distinct() -> None:
    # Heights 64 72 80 88 96 round to 64 64 96 96 96
    sizes = image_sizes((64, 64), (64, 64), (96, 192), 5, 32)
    assert sizes == [(64, 64), (64, 96), (96, 128), (96, 160), (96, 192)]


def test_a_side_half_way_is_rounded_up() -> None:
    assert image_sizes((80, 48), (80, 48), (80, 48), 1, 32) == [(96, 64)]  # round() would give 64 for both
    assert image_sizes((79, 47), (79, 47), (79, 47), 1, 32) == [(64, 32)]


def test_the_batch_is_for_the_base_as_given() -> None:
    assert size_batch_pairs((250, 250), 32, (256, 256), (256, 256), 1, 32) == [(256, 256, 250 * 250 * 32 // 256**2)]


def test_a_large_size_has_one_image_at_least() -> None:
    assert size_batch_pairs((32, 32), 1, (320, 320), (320, 320), 1, 32) == [(32, 32, 1), (320, 320, 1)]


def test_the_largest_step_is_known() -> None:
    cap = 2_000_000
    pairs = size_batch_pairs(base_batch_size=128, max_pixels=cap)
    assert all(cap - h * w < h * w * b <= cap for h, w, b in pairs)


def test_numpy_ints_are_ints() -> None:
    (pair,) = size_batch_pairs(*[tuple(np.array([64, 64])), np.int64(2)], (64, 64), (64, 64), np.int64(1), np.int64(32))
    assert pair == (64, 64, 2)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"min_size": (31, 64)}, r"min_size must be at least the divisor 32 .* got \(31, 64\)"),
        ({"min_size": (16, 16), "max_size": (64, 31)}, r"size must be at least the divisor 32"),
        ({"max_size": (320, 20), "min_size": (32, 32)}, r"max_size must be at least the divisor 32 .* got \(320, 20\)"),
        ({"base_size": (256, 8)}, r"base_size must be at least the divisor 32 .* got \(256, 8\)"),
        ({"min_size": (160, 352)}, r"min_size must be at most max_size .* got \(160, 352\) and \(320, 320\)"),
        ({"base_size": (256, 0)}, r"base_size's width must be at least 1, got 0"),
        ({"base_batch_size": 0}, r"base_batch_size must be at least 1, got 0"),
        ({"num_sizes": 0}, r"num_sizes must be at least 1, got 0"),
        ({"divisor": 0}, r"divisor must be at least 1, got 0"),
        ({"max_pixels": 0}, r"max_pixels must be at least 1\d*, .*got 0"),
        ({"max_pixels": 320 * 320 - 1}, r"max_pixels must be at least 102400, .* \(320, 320\), got 102399"),
    ],
)
def test_settings_that_cannot_work(setting: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        size_batch_pairs(**setting)
    with pytest.raises(ValueError, match=message):
        MultiScaleBatchSampler(100, **setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"base_size": 256}, r"base_size must be \(height, width\), got 256"),
        ({"min_size": (160, 160, 3)}, r"min_size must be \(height, width\), got \(160, 160, 3\)"),
        ({"base_batch_size": 32.0}, r"base_batch_size must be an int, got 32.0"),
    ],
)
def test_settings_of_other_types(setting: dict, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        size_batch_pairs(**setting)


def test_the_sampler_has_the_same_defaults() -> None:
    ours = inspect.signature(size_batch_pairs).parameters
    theirs = inspect.signature(MultiScaleBatchSampler).parameters
    assert {name: theirs[name].default for name in ours} == {name: ours[name].default for name in ours}
