from pathlib import Path

import numpy as np
import pytest

from mvdet.data.io.coco_masks import mask_polygons
from mvdet.data.io.coco_writer import CocoAnnotations
from mvdet.data.io.contours import Instance, mask_box

coco_api = pytest.importorskip("pycocotools.coco")


def test_pycocotools_gets_back_exact_masks(tmp_path: Path) -> None:
    height, width = 40, 61
    ring = np.zeros((height, width), dtype=bool)
    ring[2:20, 3:30] = True
    ring[8:12, 10:20] = False  # a hole,
    ring[30:40, 50:61] = True  # a second piece that reaches the corner,
    ring[29, 49] = True  # and a pixel that touches it diagonally
    noise = (np.random.default_rng(0).random((height, width)) < 0.4) & ~ring
    coco = CocoAnnotations(("ring", "noise"), "test")
    coco.add(7, "a.jpg", width, height, [Instance(1, noise, mask_box(noise)), Instance(0, ring, mask_box(ring))])
    coco.add(8, "b.jpg", 10, 10, [])
    coco.write(tmp_path / "a.json")

    read = coco_api.COCO(str(tmp_path / "a.json"))
    assert read.getImgIds() == [7, 8]
    assert {category["id"]: category["name"] for category in read.loadCats(read.getCatIds())} == {1: "ring", 2: "noise"}
    annotations = read.loadAnns(read.getAnnIds(imgIds=7))
    for annotation, mask, category in zip(annotations, (noise, ring), (2, 1), strict=True):
        assert np.array_equal(read.annToMask(annotation).astype(bool), mask)
        assert annotation["category_id"] == category
        assert annotation["area"] == mask.sum()
        x, y, w, h = annotation["bbox"]
        assert (x, y, x + w, y + h) == mask_box(mask)
    assert len(mask_polygons(ring)) == 3


def test_what_does_not_fit_is_refused() -> None:
    mask = np.ones((4, 6), dtype=bool)
    coco = CocoAnnotations(("a",), "test")
    with pytest.raises(ValueError, match=r"x.jpg.*\(4, 6\).*\(6, 4\)"):
        coco.add(1, "x.jpg", 4, 6, [Instance(0, mask, mask_box(mask))])
    with pytest.raises(ValueError, match=r"x.jpg: label 1, allowed are 0 to 0"):
        coco.add(1, "x.jpg", 6, 4, [Instance(1, mask, mask_box(mask))])
