from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mvdet.evaluation.metrics.matching import Matching, match_detections
from mvdet.evaluation.reports.mistakes import worst_mistakes, write_mistakes

pytest.importorskip("matplotlib")

Json = dict[str, Any]
CAT, DOG = 3, 7


def matched(truth: Json, *detections: tuple[int, int, list[float], float]) -> Matching:
    keys = ("image_id", "category_id", "bbox", "score")
    results = [dict(zip(keys, values, strict=True)) for values in detections]
    return match_detections(truth, results, score_threshold=0.1)


def test_wrong_detections_by_score_then_missed_objects_by_size(truth: Json) -> None:
    matching = matched(
        truth,
        (5, CAT, [10, 10, 40, 40], 0.95),  # correct
        (5, CAT, [10, 10, 40, 39], 0.3),  # again
        (5, CAT, [100, 10, 50, 50], 0.8),  # the dog
        (2, DOG, [20, 20, 20, 60], 0.9),  # a third of another dog
        (9, DOG, [0, 0, 5, 5], 0.4),
        (2, DOG, [150, 40, 20, 20], 0.99),  # in the crowd
    )
    mistakes = worst_mistakes(matching)
    captions = [mistake.caption(matching.ground_truth.class_names) for mistake in mistakes]
    assert captions == [
        ("badly localised: dog 0.90", "IoU 0.33 with dog"),
        ("wrong class: cat 0.80", "IoU 1.00 with dog"),
        ("background: dog 0.40", "touches no object"),
        ("duplicate: cat 0.30", "IoU 0.97 with cat"),
    ]  # the badly localised dog is not shown again as missed
    assert [m.detection.score for m in worst_mistakes(matching, 2) if m.detection] == [0.9, 0.8]


@pytest.mark.parametrize(
    ("wrong", "missed", "count", "expected"),
    [(30, 3, 24, (21, 3)), (30, 20, 24, (16, 8)), (2, 20, 24, (2, 20)), (2, 30, 24, (2, 22)), (1, 1, 1, (1, 0))],
)
def test_places(truth: Json, wrong: int, missed: int, count: int, expected: tuple[int, int]) -> None:
    truth["annotations"] = [{"image_id": 2, "category_id": CAT, "bbox": [0, 0, 5, n + 1]} for n in range(missed)]
    matching = matched(truth, *[(9, CAT, [0, 0, 5, 5], (n + 1) / 40) for n in range(wrong + 3)][3:])
    mistakes = worst_mistakes(matching, count)
    kinds = [mistake.kind for mistake in mistakes]
    assert (kinds.count("background"), kinds.count("missed")) == expected
    areas = [mistake.object.area for mistake in mistakes if mistake.kind == "missed" and mistake.object]
    assert areas == sorted(areas, reverse=True)
    assert areas[:1] == [5.0 * missed][: expected[1]]


def test_sheet_and_index(truth: Json, images: Path, tmp_path: Path) -> None:
    truth["categories"][0]["name"] = "<dog> & $x"
    matching = matched(truth, (5, CAT, [100, 10, 50, 50], 0.8), (2, DOG, [20, 20, 20, 60], 0.9))
    mistakes = write_mistakes(tmp_path / "a" / "mistakes", matching, images)
    assert [mistake.kind for mistake in mistakes] == ["badly localised", "wrong class", "missed"]
    page = (tmp_path / "a" / "mistakes" / "index.html").read_text()
    assert '<img src="contact_sheet.png"' in page
    assert page.index("2.png") < page.index("5.png")
    assert "<td>&lt;dog&gt; &amp; $x</td>" in page
    assert "<dog>" not in page
    assert "<td>100.0, 10.0, 50.0, 50.0</td>" in page
    sheet = np.asarray(Image.open(tmp_path / "a" / "mistakes" / "contact_sheet.png").convert("RGB")).astype(int)
    green, red = (np.abs(sheet - colour).sum(axis=-1) < 12 for colour in ((0x00, 0x9E, 0x73), (0xD5, 0x5E, 0x00)))
    # The first third of the sheet holds both mistakes with detections, the third picture the missed cat alone.
    assert green[:, :960].sum() > 500
    assert red[:, :640].sum() > 500
    assert red[:, 640:].sum() == 0


def test_boxes_are_drawn_where_they_are(truth: Json, images: Path, tmp_path: Path) -> None:
    """A picture that is black within the object and white elsewhere: the green box runs along the edge."""
    picture = np.full((100, 200, 3), 255, np.uint8)
    picture[3:53, 4:54] = 0
    Image.fromarray(picture).save(images / "5.png")
    truth["annotations"] = [{"image_id": 5, "category_id": DOG, "bbox": [4, 3, 50, 50]}]
    write_mistakes(tmp_path / "m", matched(truth), images)
    sheet = np.asarray(Image.open(tmp_path / "m" / "contact_sheet.png").convert("RGB")).astype(int)
    sheet = sheet[60:, :320]  # the first picture, below its caption
    green = np.argwhere(np.abs(sheet - (0x00, 0x9E, 0x73)).sum(axis=-1) < 12)
    black = np.argwhere(sheet.sum(axis=-1) < 30)
    assert len(black) > 1000
    assert np.abs(green.min(axis=0) - black.min(axis=0)).max() <= 6
    assert np.abs(green.max(axis=0) - black.max(axis=0)).max() <= 6


def test_a_function_may_find_the_images(truth: Json, images: Path, tmp_path: Path) -> None:
    for file in images.iterdir():
        file.rename(file.with_name(f"renamed_{file.name}"))
    write_mistakes(tmp_path / "m", matched(truth), lambda record: images / f"renamed_{record.id}.png")
    assert (tmp_path / "m" / "contact_sheet.png").is_file()


def test_boxes_beyond_the_picture(truth: Json, images: Path, tmp_path: Path) -> None:
    beyond = [(9, CAT, [-500, -50, 900, 200], 0.9), (9, CAT, [400, 400, 10, 10], 0.8), (9, CAT, [3, 3, 0, 0], 0.7)]
    truth["images"][2].update(width=7, height=5)
    Image.new("L", (7, 5)).save(images / "9.png")
    assert len(write_mistakes(tmp_path / "m", matched(truth, *beyond), images)) == 6


def test_no_mistakes(truth: Json, perfect: list[Json], images: Path, tmp_path: Path) -> None:
    matching = match_detections(truth, perfect, score_threshold=0.1)
    assert write_mistakes(tmp_path / "m", matching, images) == []
    assert (tmp_path / "m" / "contact_sheet.png").is_file()


def test_images_that_cannot_be_shown(truth: Json, images: Path, tmp_path: Path) -> None:
    matching = matched(truth)
    Image.new("RGB", (100, 200)).save(images / "2.png")
    with pytest.raises(ValueError, match=r"2\.png: is 100 x 200 pixels, ground truth says 200 x 100"):
        write_mistakes(tmp_path / "m", matching, images)
    (images / "2.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"2\.png: not an image of a kind that is decoded here"):
        write_mistakes(tmp_path / "m", matching, images)
    (images / "2.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"2\.png"):
        write_mistakes(tmp_path / "m", matching, images)
    del truth["images"][1]["file_name"]
    with pytest.raises(ValueError, match="image 2 has no file_name"):
        write_mistakes(tmp_path / "m", matched(truth), images)


def test_count(truth: Json) -> None:
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        worst_mistakes(matched(truth), 0)
