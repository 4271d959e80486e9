from pathlib import Path

import numpy as np
import pytest
from ultralytics.data.utils import polygon2mask
from ultralytics.utils.ops import segments2boxes

from mvdet.data.io.contours import Mask, mask_box
from mvdet.data.io.yolo import box_row, label_file, polygon_row, read_labels, write_labels
from mvdet.data.shapes.dataset import render


def points_of(row: str) -> np.ndarray:
    """[N, 2] float32 as ultralytics reads it."""
    return np.array(row.split()[1:], dtype=np.float32).reshape(-1, 2)


def check(mask: Mask) -> float:
    """Assert that the box ultralytics derives is exact; IoU of the mask that it draws, one pixel larger as it is."""
    height, width = mask.shape
    row = polygon_row(3, mask)
    assert row.split()[0] == "3"
    points = points_of(row)
    assert points.min() >= 0
    assert points.max() <= 1
    cx, cy, w, h = segments2boxes([points])[0] * (width, height, width, height)
    np.testing.assert_allclose((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), mask_box(mask), atol=1e-3)
    drawn = polygon2mask((height, width), [(points * (width, height)).reshape(-1)]).astype(bool)
    return np.count_nonzero(drawn & mask) / np.count_nonzero(drawn | mask)


def test_rendered_objects() -> None:
    overlaps = []
    for index in range(10):
        _, instances = render(index)
        for instance in instances:
            overlap = check(instance.mask)
            if instance.area > 2000:
                overlaps.append(overlap)
    assert len(overlaps) > 10
    assert min(overlaps) > 0.9
    assert np.mean(overlaps) > 0.95


def test_several_pieces_and_a_hole_are_one_row() -> None:
    mask = np.zeros((200, 300), dtype=bool)
    mask[20:120, 30:130] = True
    mask[50:90, 60:100] = False
    mask[40:180, 200:290] = True
    assert check(mask) > 0.93


def test_a_mask_of_the_whole_image() -> None:
    assert check(np.ones((37, 53), dtype=bool)) == 1.0


def test_box_row() -> None:
    assert box_row(2, (10, 20, 30, 60), 100, 200) == "2 0.2 0.2 0.2 0.2"
    assert box_row(0, (0, 0, 640, 480), 640, 480) == "0 0.5 0.5 1 1"
    values = np.array(box_row(0, (1, 2, 640, 479), 640, 480).split()[1:], dtype=float) * (640, 480, 640, 480)
    np.testing.assert_allclose(values, (320.5, 240.5, 639, 477), atol=1e-3)


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (5, 9, 6, 8), (-1, 0, 5, 5), (0, 0, 101, 5), (0, 0, 5, 51)])
def test_a_box_must_lie_in_the_image(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"100 x 50"):
        box_row(0, box, 100, 50)


def test_an_empty_mask_has_no_row() -> None:
    with pytest.raises(ValueError, match="empty"):
        polygon_row(0, np.zeros((4, 4), dtype=bool))


def test_label_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    write_labels(file, ["0 0.5 0.5 1 1", "1 0.5 0.5 1 1"])
    assert file.read_text() == "0 0.5 0.5 1 1\n1 0.5 0.5 1 1\n"
    write_labels(file, [])
    assert file.read_bytes() == b""


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ("1 0.5 0.5 0.2 0.4", (1, (0.4, 0.3, 0.6, 0.7))),
        ("0.0 0.5 0.5 1 1", (0, (0, 0, 1, 1))),
        ("2 0.1 0.2 0.3 0.2 0.3 0.8", (2, (0.1, 0.2, 0.3, 0.8))),
        ("2 0.1 0.2 0.3 0.2 0.3 0.8 0.1 0.8", (2, (0.1, 0.2, 0.3, 0.8))),
        ("0 1.005 0.5 0.2 0.2", (0, (0.905, 0.4, 1.105, 0.6))),
        ("0 0.5 0.5 0.2", "a class and 4 numbers, or 3 points or more, wanted; got 4 numbers: '0 0.5 0.5 0.2'"),
        ("0 0.5 0.5 0.2 0.2 0.9", "a class and 4 numbers, or 3 points or more, wanted; got 6 numbers"),
        ("0 320 240 64 48", "shares of width and height, 0 to 1, wanted; got '0 320 240 64 48'"),
        ("0 0.5 -0.5 0.2 0.2", "shares of width and height, 0 to 1, wanted"),
        ("cat 0.5 0.5 0.2 0.2", "numbers wanted, got 'cat 0.5 0.5 0.2 0.2'"),
        ("-1 0.5 0.5 0.2 0.2", "a class number of 0 or more and finite numbers wanted"),
        ("0.5 0.5 0.5 0.2 0.2", "a class number of 0 or more and finite numbers wanted"),
        ("0 nan 0.5 0.2 0.2", "a class number of 0 or more and finite numbers wanted"),
        ("0,0.5,0.5,0.2,0.2", "numbers wanted, got '0,0.5,0.5,0.2,0.2'"),
    ],
)
def test_rows(row: str, wanted: tuple[int, tuple[float, ...]] | str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(f"\n{row}\r\n \n", encoding="utf-8-sig")
    (found,) = read_labels(tmp_path / "a.txt")
    assert found.number == 2
    if isinstance(wanted, str):
        assert isinstance(found.box, str)
        assert wanted in found.box
    else:
        assert (found.label, found.box) == (wanted[0], pytest.approx(wanted[1]))


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ("a/images/train/x.jpg", "a/labels/train/x.txt"),
        ("images/a/images/x.y.jpg", "images/a/labels/x.y.txt"),
        ("a/train/x.jpg", "a/train/x.txt"),
        ("a/images.old/x.jpg", "a/images.old/x.txt"),
    ],
)
def test_where_labels_lie(image: str, wanted: str) -> None:
    assert label_file(Path(image)) == Path(wanted)


def test_labels_beside_images_in_a_folder_called_images(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/x.txt").write_text("")
    assert label_file(tmp_path / "images/x.jpg") == tmp_path / "images/x.txt"
