import os
import pickle
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.ops import box_iou

from mvdet.data.datasets.detection import OBJECT_INDEX
from mvdet.data.transforms.detection import SampleCrop, ZoomOut, compose, eval_transform, train_transform
from mvdet.data.transforms.image import A, PhotometricDistortion

Boxes = list[tuple[float, float, float, float]]

HEIGHT, WIDTH = 96, 128

BOXES: Boxes = [(0, 0, 128, 96), (10, 20, 50.5, 60.5), (60, 30, 70.5, 90.5), (100, 5, 101, 6), (90, 60, 120.5, 80.5)]
"""But for the first, no centre lies on a pixel's edge, where rounding decides whether a window holds it."""


def picture() -> NDArray[np.uint8]:
    """[96, 128, 3]; red counts the columns, green the rows."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)


def run(transform: A.Compose, boxes: Boxes, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.float32], list[int]]:
    generator = np.random.default_rng(seed)
    transform.set_random_state(generator, random.Random(seed))
    array = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    result = transform(image=picture(), bboxes=array, **{OBJECT_INDEX: np.arange(len(array))})
    kept = np.asarray(result[OBJECT_INDEX], dtype=int).tolist()
    return result["image"], np.asarray(result["bboxes"]).reshape(-1, 4), kept


# Boxes that leave the picture


@pytest.mark.parametrize("factory", [eval_transform, train_transform])
@pytest.mark.parametrize(
    ("box", "clipped"),
    [
        ((0, 0, 128, 96), (0, 0, 128, 96)),
        ((-20, -30, 40, 50), (0, 0, 40, 50)),
        ((100, 90, 200, 300), (100, 90, 128, 96)),
        ((-5, -5, 500, 500), (0, 0, 128, 96)),
        ((127, 95, 128, 96), (127, 95, 128, 96)),
        ((0, 0, 1, 1), (0, 0, 1, 1)),
        ((-10, 10, 0, 20), None),
        ((-10, -10, -1, -1), None),
        ((128, 0, 140, 10), None),
        ((0, 96, 10, 120), None),
        ((5, 5, 5, 9), None),
        ((9, 9, 5, 5), None),
        ((float("nan"), 1, 5, 5), None),
    ],
)
def test_boxes_at_the_edge(factory: Any, box: tuple[float, ...], clipped: tuple[float, ...] | None) -> None:
    options = {} if factory is eval_transform else {"sample_crop": False, "flip": 0.0}
    others: Boxes = [(20, 20, 30, 30), (40, 40, 50, 70)]
    for boxes, index in (([box, *others], 0), ([*others, box], 2), ([others[0], box, others[1]], 1), ([box], 0)):
        _, result, kept = run(factory(192, 64, **options), boxes)  # twice as high, half as wide
        wanted = {i: clipped if i == index else value for i, value in enumerate(boxes)}
        wanted = {i: value for i, value in wanted.items() if value is not None}
        assert kept == list(wanted)
        expected = np.array(list(wanted.values()), dtype=float).reshape(-1, 4) * (0.5, 2, 0.5, 2)
        np.testing.assert_allclose(result, expected, atol=1e-3)


@pytest.mark.parametrize("factory", [eval_transform, train_transform])
def test_no_boxes(factory: Any) -> None:
    for seed in range(10):
        image, boxes, kept = run(factory(32, 48), [], seed)
        assert (image.shape, boxes.shape, kept) == ((32, 48, 3), (0, 4), [])


def test_only_training_drops_what_is_too_small_to_see() -> None:
    boxes: Boxes = [(10, 10, 40, 40), (20, 20, 20.3, 40), (20, 20, 40, 20.3), (0, 0, 1, 1), (5, 5, 5.6, 5.6)]
    assert run(eval_transform(HEIGHT, WIDTH), boxes)[2] == [0, 1, 2, 3, 4]
    plain = {"sample_crop": False, "photometric": False}
    assert run(train_transform(HEIGHT, WIDTH, **plain), boxes)[2] == [0, 3, 4]
    assert run(train_transform(HEIGHT // 2, WIDTH // 2, **plain), boxes)[2] == [0, 3]
    assert run(train_transform(HEIGHT * 4, WIDTH * 4, **plain), boxes)[2] == [0, 1, 2, 3, 4]


def test_labels_and_numbers_of_any_size_survive() -> None:
    """The index goes through float32, so no other field may."""
    boxes: Boxes = [(i / 20, 1, i / 20 + 2, 9) for i in range(2500)]
    assert run(eval_transform(64, 64), boxes)[2] == list(range(2500))


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="Key boxes is not in available keys"):
        eval_transform(8, 8)(image=picture(), bboxes=np.zeros((0, 4)), boxes=1, **{OBJECT_INDEX: []})


# The whole


@pytest.mark.parametrize("zoom_out", [False, True])
@pytest.mark.parametrize("size", [(320, 320), (64, 160)])
def test_training_gives_boxes_inside_the_picture(size: tuple[int, int], zoom_out: bool) -> None:
    transform = train_transform(*size, zoom_out=zoom_out)
    for seed in range(100):
        image, boxes, kept = run(transform, BOXES, seed)
        assert (image.shape, image.dtype) == ((*size, 3), np.uint8)
        assert len(boxes) == len(kept) == len(set(kept))
        assert kept == sorted(kept)
        assert (boxes >= 0).all()
        assert (boxes[:, 2] <= size[1] + 1e-3).all()
        assert (boxes[:, 3] <= size[0] + 1e-3).all()
        assert (boxes[:, 2:] - boxes[:, :2] >= 0.5 - 1e-3).all()


def test_flips_mirror_boxes_with_the_picture() -> None:
    image, boxes, _ = run(train_transform(HEIGHT, WIDTH, sample_crop=False, photometric=False, flip=1.0), BOXES)
    assert np.array_equal(image, picture()[:, ::-1])
    expected = [(WIDTH - x2, y1, WIDTH - x1, y2) for x1, y1, x2, y2 in BOXES]
    np.testing.assert_allclose(boxes, expected, atol=1e-3)


def test_each_part_can_be_left_out() -> None:
    def names(**options: Any) -> list[str]:
        return [type(step).__name__ for step in train_transform(32, 32, **options)]

    assert names() == ["SampleCrop", "AntialiasedResize", "PhotometricDistortion", "HorizontalFlip"]
    assert names(sample_crop=False, photometric=False) == ["AntialiasedResize", "HorizontalFlip"]
    assert names(zoom_out=True)[:2] == ["ZoomOut", "SampleCrop"]
    with pytest.raises(ValueError, match=r"flip must be a probability, 0 to 1, got 1.5"):
        train_transform(32, 32, flip=1.5)


def test_the_random_state_decides_everything() -> None:
    transform = train_transform(64, 64, zoom_out=True)
    again = pickle.loads(pickle.dumps(transform))
    seen = set()
    for seed in range(20):
        image, boxes, kept = run(transform, BOXES, seed)
        image_again, boxes_again, kept_again = run(again, BOXES, seed)
        assert np.array_equal(image, image_again)
        assert np.array_equal(boxes, boxes_again)
        assert kept == kept_again
        seen.add(image.tobytes())
    assert len(seen) == 20


# The sample crop


def crop(boxes: Boxes, seed: int, **options: Any) -> tuple[tuple[int, int, int, int], NDArray[np.float32], list[int]]:
    """The window, read off the picture's colours, then the boxes and which they are."""
    image, result, kept = run(compose([SampleCrop(**options)]), boxes, seed)
    first, last = image[0, 0].tolist(), image[-1, -1].tolist()
    window = (first[0], first[1], last[0] + 1, last[1] + 1)
    assert image.shape == (window[3] - window[1], window[2] - window[0], 3)
    return window, result, kept


@pytest.mark.parametrize("min_iou", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9])
def test_crops_keep_their_promises(min_iou: float) -> None:
    boxes = BOXES[1:]
    if min_iou > 0.5:
        boxes = [(8, 6, 120.5, 90.5), *boxes]  # only a large object overlaps a window of 0.3 and more so far
    cropped = 0
    for seed in range(200):
        window, result, kept = crop(boxes, seed, min_ious=(min_iou,))
        if window == (0, 0, WIDTH, HEIGHT):
            continue
        cropped += 1
        x1, y1, x2, y2 = window
        assert 0.3 * WIDTH - 1 <= x2 - x1 <= WIDTH
        assert 0.3 * HEIGHT - 1 <= y2 - y1 <= HEIGHT
        assert 0.5 <= (x2 - x1) / (y2 - y1) <= 2
        inside = [x1 < (b[0] + b[2]) / 2 < x2 and y1 < (b[1] + b[3]) / 2 < y2 for b in boxes]
        assert kept == [index for index, value in enumerate(inside) if value]
        assert kept
        expected = [
            (max(b[0], x1) - x1, max(b[1], y1) - y1, min(b[2], x2) - x1, min(b[3], y2) - y1)
            for b in (boxes[index] for index in kept)
        ]
        np.testing.assert_allclose(result, expected, atol=1e-3)
        ious = box_iou(torch.tensor([boxes[index] for index in kept]).float(), torch.tensor([window]).float())
        assert ious.max() >= min_iou - 1e-6
    assert cropped > 150


def test_all_options_are_drawn() -> None:
    """The share of whole pictures is that of the option, one of seven, and windows lie everywhere."""
    windows = [crop(BOXES, seed)[0] for seed in range(700)]
    whole = sum(window == (0, 0, WIDTH, HEIGHT) for window in windows)
    assert whole / 700 == pytest.approx(1 / 7, abs=0.05)
    areas = [(x2 - x1) * (y2 - y1) / (WIDTH * HEIGHT) for x1, y1, x2, y2 in windows]
    assert min(areas) < 0.2
    assert min(window[0] for window in windows) == min(window[1] for window in windows) == 0
    assert max(window[2] for window in windows) == WIDTH
    assert max(window[3] for window in windows) == HEIGHT


def test_pictures_without_objects_stay_whole() -> None:
    assert all(crop([], seed)[0] == (0, 0, WIDTH, HEIGHT) for seed in range(20))


def test_what_cannot_be_met_leaves_the_picture_whole() -> None:
    window, boxes, kept = crop([(0, 0, 2, 2), (50, 50, 52, 52)], 0, min_ious=(0.9,))
    assert window == (0, 0, WIDTH, HEIGHT)
    assert kept == [0, 1]
    np.testing.assert_allclose(boxes, [(0, 0, 2, 2), (50, 50, 52, 52)], atol=1e-3)


@pytest.mark.parametrize(
    ("transform", "options", "message"),
    [
        (SampleCrop, {"scale": (0.3, 1.2)}, r"scale must be \(low, high\) between 0 and 1, got \(0.3, 1.2\)"),
        (SampleCrop, {"aspect_ratio": (2.0, 0.5)}, r"aspect_ratio must be .* got \(2.0, 0.5\)"),
        (SampleCrop, {"min_ious": ()}, r"min_ious and trials must be one at least, got \(\) and 40"),
        (SampleCrop, {"trials": 0}, r"min_ious and trials must be one at least"),
        (ZoomOut, {"scale": (0.5, 2.0)}, r"scale must be .* between 1 and inf, got \(0.5, 2.0\)"),
        (PhotometricDistortion, {"hue": (0.0, 0.6)}, r"hue must be .* between -0.5 and 0.5"),
        (PhotometricDistortion, {"contrast": (-1.0, 1.0)}, r"contrast must be .* between 0 and inf"),
    ],
)
def test_arguments_out_of_range(transform: type, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transform(**options)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    height, width = size
    for seed in range(20):
        transform = train_transform(16, 16)
        transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
        box = np.array([[0, 0, width, height]], dtype=np.float32)
        result = transform(image=np.zeros((*size, 3), np.uint8), bboxes=box, **{OBJECT_INDEX: np.arange(1)})
        np.testing.assert_allclose(result["bboxes"], [[0, 0, 16, 16]], atol=1e-3)


def test_masks_are_cropped_with_the_picture() -> None:
    transform = A.Compose([SampleCrop(min_ious=(0.0,))], bbox_params=A.BboxParams("pascal_voc"))
    transform.set_random_state(np.random.default_rng(0), random.Random(0))
    image = picture()
    result = transform(image=image, mask=image[..., 0], bboxes=np.array([[0, 0, 128, 96.0]]))
    assert result["image"].shape != image.shape
    assert np.array_equal(result["mask"], result["image"][..., 0])


# Zooming out


def test_zooming_out_keeps_picture_and_boxes_together() -> None:
    shapes = set()
    for seed in range(50):
        image, boxes, kept = run(compose([ZoomOut(p=1.0, fill=(200, 210, 220))]), BOXES, seed)
        inside = (image != (200, 210, 220)).any(axis=2)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        top, left = rows[0], columns[0]
        assert np.array_equal(image[top : top + HEIGHT, left : left + WIDTH], picture())
        assert inside.sum() == HEIGHT * WIDTH
        assert kept == list(range(len(BOXES)))
        np.testing.assert_allclose(boxes, np.add(BOXES, (left, top, left, top)), atol=1e-3)
        shapes.add(image.shape)
        assert 1 <= image.shape[0] / HEIGHT <= 4
        assert 1 <= image.shape[1] / WIDTH <= 4
    assert len(shapes) > 30


def test_zooming_out_without_boxes() -> None:
    image, boxes, _ = run(compose([ZoomOut(p=1.0)]), [])
    assert image.shape[0] > HEIGHT
    assert boxes.shape == (0, 4)


# Importing


def test_importing_asks_nobody_for_a_newer_version() -> None:
    code = """
import urllib.request
def refuse(*args, **options):
    raise SystemExit("asked the network")
urllib.request.build_opener = urllib.request.urlopen = refuse
import mvdet.data.transforms.detection
"""
    environment = {key: value for key, value in os.environ.items() if key != "NO_ALBUMENTATIONS_UPDATE"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
