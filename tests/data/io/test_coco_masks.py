import numpy as np
import pytest

from mvdet.data.io.coco_masks import mask_problem, run_lengths

mask_api = pytest.importorskip("pycocotools.mask")


@pytest.mark.parametrize("seed", range(5))
def test_run_lengths_of_pycocotools_own_text(seed: int) -> None:
    height, width = 37, 101
    mask = np.random.default_rng(seed).random((height, width)) < 0.1 * seed
    if seed == 3:
        mask[:, 20:90] = True  # runs of thousands, whose differences are negative
    flat = mask.flatten(order="F")
    changes = np.flatnonzero(np.diff(flat, prepend=False)).tolist()
    wanted = np.diff([0, *changes, flat.size]).tolist()
    encoded = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert run_lengths(encoded["counts"]) == run_lengths(encoded["counts"].decode()) == wanted
    assert mask_problem({"size": [height, width], "counts": encoded["counts"].decode()}, height, width) is None
    assert mask_problem({"size": [height, width], "counts": wanted}, height, width) is None


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        ([[0, 0, 5, 0, 5]], "three points"),
        ([[0, 0, 5, 0, 5, None]], "three points"),
        ({"size": [4, 6], "counts": [25, -1]}, "0 or more"),
        ({"size": [4, 6], "counts": 24}, "whole numbers"),
        ({"size": [4, 6]}, "polygons or run lengths"),
        ("24", "polygons or run lengths"),
    ],
)
def test_problems(mask: object, problem: str) -> None:
    assert problem in (mask_problem(mask, 4, 6) or "")


def test_size_is_needed() -> None:
    assert "width and height" in (mask_problem({"size": [4, 6], "counts": [24]}, None, None) or "")
