import random

import numpy as np
import pytest
from numpy.typing import NDArray

from mvdet.data.transforms.image import A
from mvdet.data.transforms.segmentation import RandomSize, eval_transform, train_transform

HEIGHT, WIDTH = 96, 128
NUMBERS = (0, 1, 7, 20, 255)


def pair() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Blocks of 16 pixels; the picture's red is the mask."""
    mask = np.random.default_rng(0).choice(np.array(NUMBERS, dtype=np.uint8), (HEIGHT // 16, WIDTH // 16))
    mask = mask.repeat(16, axis=0).repeat(16, axis=1)
    return np.stack([mask, np.full_like(mask, 9), mask], axis=2), mask


def run(transform: A.Compose, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
    image, mask = pair()
    result = transform(image=image, mask=mask)
    return result["image"], result["mask"]


@pytest.mark.parametrize("size", [(64, 64), (40, 160), (256, 200)])
def test_training_keeps_picture_and_mask_together(size: tuple[int, int]) -> None:
    seen = set()
    for seed in range(30):
        image, mask = run(train_transform(*size, photometric=False), seed)
        assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((*size, 3), np.uint8, size, np.uint8)
        assert set(np.unique(mask)) <= set(NUMBERS)  # never a mixture
        padded = image[..., 1] == 0
        assert (image[padded] == 0).all()
        assert (mask[padded] == 255).all()
        inside = ~padded
        assert np.mean(np.abs(image[..., 0].astype(int) - mask)[inside] < 2) > 0.5  # all but the blocks' edges
        seen.add(image.tobytes())
    assert len(seen) > 25


def test_padding_is_ignored() -> None:
    """Half the size, so that three quarters of the crop are empty; anywhere in it."""
    corners = set()
    for seed in range(20):
        image, mask = run(train_transform(HEIGHT, WIDTH, scale=(0.5, 0.5), photometric=False), seed)
        inside = image[..., 1] == 9
        assert inside.sum() == HEIGHT * WIDTH // 4
        assert (mask[~inside] == 255).all()
        assert (mask[inside] != 255).any()
        corners.add(tuple(np.argwhere(inside)[0]))
    assert len(corners) > 10


def test_photometric_leaves_the_mask_alone() -> None:
    for seed in range(10):
        plain, mask = run(train_transform(96, 96, photometric=False, flip=0.0), seed)
        image, same = run(train_transform(96, 96, flip=0.0), seed)
        assert np.array_equal(mask, same)
    assert not np.array_equal(plain, image)


def test_flip() -> None:
    image, mask = pair()
    for flip, step in ((0.0, 1), (1.0, -1)):
        found = run(train_transform(HEIGHT, WIDTH, scale=(1.0, 1.0), photometric=False, flip=flip))
        assert np.array_equal(found[0], image[:, ::step])
        assert np.array_equal(found[1], mask[:, ::step])


def test_sizes_that_are_drawn() -> None:
    shorter = []
    for seed in range(200):
        image, mask = run(A.Compose([RandomSize(100)]), seed)
        assert image.shape[:2] == mask.shape
        assert image.shape[1] / image.shape[0] == pytest.approx(WIDTH / HEIGHT, rel=0.02)
        shorter.append(min(mask.shape))
    assert 50 <= min(shorter) < 60
    assert 190 < max(shorter) <= 200
    assert run(A.Compose([RandomSize(48, (1.0, 1.0))]))[1].shape == (48, 64)


@pytest.mark.parametrize(("side", "step"), [(32, 3), (288, 1 / 3)])
def test_the_nearest_pixel_by_its_centre(side: int, step: float) -> None:
    """A mask that is made smaller or larger lies where the picture does."""
    mask = np.random.default_rng(1).integers(0, 200, (96, 96), dtype=np.uint8)
    result = A.Compose([RandomSize(side, (1.0, 1.0))])(image=mask[..., None].repeat(3, axis=2), mask=mask)
    centres = ((np.arange(side) + 0.5) * step).astype(int)
    assert np.array_equal(result["mask"], mask[np.ix_(centres, centres)])
    assert result["image"].shape == (side, side, 3)


@pytest.mark.parametrize("size", [(50, 70), (97, 33)])
def test_evaluation_resizes(size: tuple[int, int]) -> None:
    image, mask = pair()
    alone = eval_transform(*size)(image=image)
    assert alone["image"].shape == (*size, 3)
    assert "mask" not in alone
    both = eval_transform(*size)(image=image, mask=mask)
    assert both["mask"].shape == size
    assert set(np.unique(both["mask"])) <= set(NUMBERS)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40), (500, 1)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    for seed in range(5):
        transform = train_transform(16, 24)
        transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
        result = transform(image=np.zeros((*size, 3), np.uint8), mask=np.ones(size, np.uint8))
        assert result["mask"].shape == (16, 24)
        assert set(np.unique(result["mask"])) <= {1, 255}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: train_transform(0, 8), "height and width must be at least 1, got 0 and 8"),
        (lambda: eval_transform(8, 0), "height and width must be at least 1, got 8 and 0"),
        (lambda: train_transform(8, 8, flip=1.5), "flip must be a probability, 0 to 1, got 1.5"),
        (lambda: train_transform(8, 8, scale=(2.0, 0.5)), r"scale must be .* got \(2.0, 0.5\)"),
        (lambda: RandomSize(8, (0.0, 1.0)), r"scale must be above 0, got \(0.0, 1.0\)"),
        (lambda: RandomSize(0), "side must be at least 1, got 0"),
    ],
)
def test_arguments_out_of_range(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
