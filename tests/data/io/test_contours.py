import cv2
import numpy as np
import pytest

from mvdet.data.io.contours import Instance, Mask, Polygon, join_contours, mask_box, thin_contour, trace_contours


def test_box_is_in_pixel_edges() -> None:
    mask = np.zeros((6, 9), dtype=bool)
    mask[2, 3] = True
    assert mask_box(mask) == (3, 2, 4, 3)
    mask[5, 8] = True
    assert mask_box(mask) == (3, 2, 9, 6)
    assert Instance(0, mask, mask_box(mask)).area == 2


@pytest.mark.parametrize("shape", [(4, 5), (0, 0)])
def test_an_empty_mask_has_no_box(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="empty"):
        mask_box(np.zeros(shape, dtype=bool))


def test_mask_must_be_two_dimensional() -> None:
    with pytest.raises(ValueError, match=r"\[H, W\].*\(2, 3, 4\)"):
        mask_box(np.ones((2, 3, 4), dtype=bool))


def rasterise(polygon: Polygon, height: int, width: int) -> Mask:
    """Pixels whose centre a horizontal ray leaves through an odd number of edges."""
    inside = np.zeros((height, width), dtype=bool)
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        rows = (y >= min(y1, y2)) & (y < max(y1, y2))
        if rows.any():
            crossing = x1 + (y[rows] - y1) * (x2 - x1) / (y2 - y1)
            inside[rows] ^= x[None, :] < crossing[:, None]
    return inside


def noise(seed: int) -> Mask:
    """A random mask: every pixel for itself at even seeds, blobs with holes at odd ones."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(2, 50, size=2)
    values = rng.random((height, width))
    mask = values < 0.6 if seed % 2 == 0 else cv2.GaussianBlur(values, (0, 0), 2.5) > 0.5
    mask[height // 2, width // 2] = True
    return mask


SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_contours_give_back_the_mask(seed: int) -> None:
    mask = noise(seed)
    pieces = trace_contours(mask)
    assert len(pieces) == cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[0] - 1
    filled = [rasterise(join_contours(piece), *mask.shape) for piece in pieces]
    assert np.array_equal(np.sum(filled, axis=0), mask)  # every piece exact, no two over each other
    everything = join_contours([contour for piece in pieces for contour in piece])
    assert np.array_equal(rasterise(everything, *mask.shape), mask)


@pytest.mark.parametrize("seed", SEEDS)
def test_thinning_keeps_the_box(seed: int) -> None:
    mask = noise(seed)
    for piece in trace_contours(mask):
        for contour in piece:
            thinned = thin_contour(contour)
            assert np.array_equal(thinned.min(axis=0), contour.min(axis=0))
            assert np.array_equal(thinned.max(axis=0), contour.max(axis=0))


@pytest.mark.parametrize(
    ("slope", "corners"), [(0.0, 4), (0.13, 60), (1 / 3, 100), (0.5, 4), (0.8, 4), (1.0, 8), (2.0, 8), (7.0, 68)]
)
def test_stairs_are_thinned(slope: float, corners: int) -> None:
    """A rotated square; steps of even length become one line, steps of several lengths keep more of their corners."""
    x, y = np.meshgrid(np.arange(90) + 0.5, np.arange(120) + 0.5)
    u, v = x - 45 + slope * (y - 60), y - 60 - slope * (x - 45)
    mask = np.maximum(np.abs(u), np.abs(v)) < 30 * np.hypot(1, slope)
    ((contour,),) = trace_contours(mask)
    thinned = thin_contour(contour)
    assert 4 <= len(thinned) <= corners
    drawn = rasterise(thinned, *mask.shape)
    assert np.count_nonzero(drawn & mask) / np.count_nonzero(drawn | mask) > 0.985


def test_a_hole_belongs_to_the_piece_around_it() -> None:
    mask = np.zeros((9, 20), dtype=bool)
    mask[1:8, 1:8] = True
    mask[3:5, 3:5] = False
    mask[2:5, 12:15] = True
    first, second = trace_contours(mask)
    assert [contour.tolist() for contour in first] == [
        [[1, 1], [8, 1], [8, 8], [1, 8]],
        [[3, 3], [3, 5], [5, 5], [5, 3]],  # the other way round
    ]
    assert [contour.tolist() for contour in second] == [[[12, 2], [15, 2], [15, 5], [12, 5]]]


def test_pixels_that_touch_at_a_corner_are_two_pieces() -> None:
    assert len(trace_contours(np.eye(3, dtype=bool))) == 3
    assert len(trace_contours(np.eye(3, dtype=bool)[::-1])) == 3


def test_bridges_take_the_shortest_way() -> None:
    squares = [np.array([[x, 0], [x + 1, 0], [x + 1, 1], [x, 1]], dtype=float) for x in (0, 100, 10)]
    joined = join_contours(squares)
    assert len(joined) == 3 * 4 + 2 * 2
    lengths = np.hypot(*(np.roll(joined, -1, axis=0) - joined).T)
    assert sorted(lengths)[-4:] == [9, 9, 89, 89]  # 0 to 10, 10 to 100, both ways


def test_nothing_to_trace_or_join() -> None:
    assert trace_contours(np.zeros((4, 4), dtype=bool)) == []
    with pytest.raises(ValueError, match="empty list"):
        join_contours([])
    with pytest.raises(ValueError, match=r"\[H, W\]"):
        trace_contours(np.ones(4, dtype=bool))


def test_one_pixel() -> None:
    mask = np.zeros((3, 3), dtype=bool)
    mask[1, 2] = True
    ((contour,),) = trace_contours(mask)
    thinned = thin_contour(contour)
    assert (*thinned.min(axis=0), *thinned.max(axis=0)) == mask_box(mask)
