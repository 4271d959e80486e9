"""One data set in every layout gives the same images and objects, from its folder alone."""

from pathlib import Path

import pytest
from layouts import CLASSES, PICTURES, SPLIT, WHOLE

from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.recognition import recognise
from mvdet.training.detection import SSDLiteRecipe, detection_dataset


def contents(dataset: DetectionDataset) -> dict[str, tuple[int, int, list[tuple[str, list[float]]]]]:
    """Size and objects of each image, by the name that it had before an upload."""
    found = {}
    for record in dataset.records:
        objects = [(dataset.class_names[item["label"] - 1], item["box"].tolist()) for item in record.objects]
        stem = Path(record.file).stem
        found[stem[9:] if stem[8:9] == "-" else stem] = (record.width, record.height, objects)
    return found


def check(found: dict[str, tuple[int, int, list[tuple[str, list[float]]]]], split: str | None) -> None:
    wanted = {stem: picture for stem, picture in PICTURES.items() if split in (None, picture.split)}
    assert found.keys() == wanted.keys()
    for stem, (width, height, objects) in found.items():
        assert (width, height) == (wanted[stem].width, wanted[stem].height)
        assert [name for name, _ in objects] == [name for name, _ in wanted[stem].objects]
        for (_, box), (_, true_box) in zip(objects, wanted[stem].objects, strict=True):
            assert box == pytest.approx(true_box, abs=0.5)


@pytest.mark.parametrize("layout", [*SPLIT, *WHOLE])
def test_every_layout_says_the_same(layout: str, tmp_path: Path) -> None:
    root = tmp_path / "data"
    data_format, write = (SPLIT | WHOLE)[layout]
    write(root)
    assert recognise(root, "detection").data_format == data_format
    recipe = SSDLiteRecipe(data_root=root, on_bad_data="error", size=(64, 64))
    train, val = (detection_dataset(recipe, train=train) for train in (True, False))
    assert train.class_names == val.class_names == CLASSES
    found = [contents(train), contents(val)]
    if layout in SPLIT:
        check(found[0], "train")
        check(found[1], "val")
    else:
        assert not found[0].keys() & found[1].keys()
        assert len(found[1]) == 1
        check(found[0] | found[1], None)
