"""What the evaluation of a segmentation network leaves behind."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mvdet.data.datasets.masks import FolderSegmentation
from mvdet.data.io.masks import read_mask, write_mask
from mvdet.evaluation.reports.segmentation import format_segmentation, report_on_segmentation
from mvdet.evaluation.run.segmentation import SegmentedImage

NAMES = ("background", "cat", "never")


@pytest.fixture
def dataset(tmp_path: Path) -> FolderSegmentation:
    """Two pictures; the upper half of each is a cat, and of the second one a row does not count."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for n in range(2):
        mask = np.zeros((20, 30), np.uint8)
        mask[:10] = 1
        mask[19] = 255 * n
        write_mask(tmp_path / "masks" / f"{n}.png", mask)
        Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(tmp_path / "images" / f"{n}.png")
    return FolderSegmentation(tmp_path / "images", tmp_path / "masks", NAMES, train=False)


def answers(dataset: FolderSegmentation, rows: tuple[int, int]) -> list[SegmentedImage]:
    """The cat is found in so many rows of each picture."""
    found = []
    for record, count in zip(dataset.records, rows, strict=True):
        labels = torch.zeros(20, 30, dtype=torch.int64)
        labels[:count] = 1
        mask = torch.from_numpy(read_mask(record.mask_file, len(NAMES)).astype(np.int64))
        found.append(SegmentedImage(record, labels, mask))
    return found


def test_what_is_written(dataset: FolderSegmentation, tmp_path: Path) -> None:
    output = tmp_path / "out"
    metrics = report_on_segmentation(dataset, answers(dataset, (10, 5)), output, settings={"size": (64, 64)})
    cat, rest = 15 / 20, 19 / 24  # rows: 10 + 5 of 20; 10 + 9 of 10 + 9 + 5
    assert metrics.per_class["cat"].iou == pytest.approx(cat)
    assert metrics.mean_iou == pytest.approx((cat + rest) / 2)
    content = json.loads((output / "metrics.json").read_text())
    assert (content["size"], content["counts"]["images"]) == ([64, 64], 2)
    assert {path.name for path in output.iterdir()} == {
        *("metrics.json", "predictions", "worst", "confusion_matrix.png", "per_class_iou.png")
    }
    assert (read_mask(output / "predictions" / "1.png", 3) == answers(dataset, (10, 5))[1].labels.numpy()).all()
    page = (output / "worst" / "index.html").read_text()
    assert page.index("1.png") < page.index("0.png")  # the worse one first
    table = [line.split() for line in format_segmentation(metrics).splitlines()]
    assert table[3:] == [["background", "570", "79.2"], ["cat", "600", "75.0"], ["never", "0", "-"]]
