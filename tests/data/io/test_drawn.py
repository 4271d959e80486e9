"""Shapes of labelme and VIA: what is a box, and what is not."""

from pathlib import Path
from typing import Any

import pytest

from mvdet.data.io.drawn import ONLY_CLASS, read_labelme, read_via
from mvdet.data.io.faults import BadData, BadItemError, Fault

FILE = Path("some/file.json")


def strict() -> BadData:
    return BadData(FILE, "error")


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ({"points": [[9, 8], [1, 2]], "shape_type": "rectangle"}, (1, 2, 9, 8)),
        ({"points": [[1, 2], [9, 4], [5, 8.5]], "shape_type": "polygon"}, (1, 2, 9, 8.5)),
        ({"points": [[5, 5], [8, 9]], "shape_type": "circle"}, (0, 0, 10, 10)),
        ({"points": [[5, 5]], "shape_type": "point"}, (5, 5, 5, 5)),
        ({"points": []}, "points wanted, got 0 x and 0 y"),
        ({"points": [[1, None]]}, "points must be pairs of numbers, got [[1, None]]"),
        ({}, "points must be pairs of numbers, got None"),
    ],
)
def test_labelme(shape: dict[str, Any], wanted: tuple[float, ...] | str) -> None:
    content = {"shapes": [{"label": "cat"} | shape], "imageWidth": 20, "imageHeight": 10, "imagePath": "a.jpg"}
    found = read_labelme(content, FILE)
    assert (found.name, found.size) == ("a.jpg", (20, 10))
    assert found.shapes == ((1, "cat", wanted),)


def test_labelme_without_a_label_or_a_size() -> None:
    found = read_labelme({"shapes": [{"points": [[1, 2]]}], "imageWidth": None}, FILE)
    assert found.size is None
    assert "label must be a text" in str(found.shapes[0].box)


@pytest.mark.parametrize("sides", [(0, 10), (-3, 10), (20, 10.5), ("20", 10), (True, 10), (20, 10**400), (20, None)])
def test_labelme_sizes_that_are_none(sides: tuple[Any, Any]) -> None:
    assert read_labelme({"shapes": [], "imageWidth": sides[0], "imageHeight": sides[1]}, FILE).size is None


@pytest.mark.parametrize("content", [[], {}, {"shapes": 3}, None])
def test_what_is_not_labelme(content: Any) -> None:
    with pytest.raises(BadItemError, match=r"some/file.json: labelme's files are objects with a list of shapes, got"):
        read_labelme(content, FILE)


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ({"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}, (1, 2, 4, 6)),
        ({"name": "polygon", "all_points_x": [1, 9, 5], "all_points_y": [2, 4, 8]}, (1, 2, 9, 8)),
        ({"name": "circle", "cx": 5, "cy": 6, "r": 2}, (3, 4, 7, 8)),
        ({"name": "ellipse", "cx": 5, "cy": 6, "rx": 2, "ry": 1}, (3, 5, 7, 7)),
        ({"name": "point", "cx": 5, "cy": 6}, "no box in {'name': 'point', 'cx': 5, 'cy': 6}"),
    ],
)
@pytest.mark.parametrize("kind", ["list", "map", "project"])
def test_via(shape: dict[str, Any], wanted: tuple[float, ...] | str, kind: str) -> None:
    region = {"shape_attributes": shape, "region_attributes": {"class": "cat"}}
    entry = {"filename": "a.jpg", "size": 9, "regions": {"0": region} if kind == "map" else [region]}
    content: dict[str, Any] = {"a.jpg9": entry}
    (found,) = read_via(
        {"_via_img_metadata": content, "_via_settings": {}} if kind == "project" else content, FILE, strict()
    )
    assert found == ("a.jpg", None, ((1, "cat", wanted),))


@pytest.mark.parametrize(
    ("attributes", "name"),
    [
        ([{}], ONLY_CLASS),
        ([{"name": "cat"}], "cat"),
        ([{"animal": "cat"}], "cat"),
        ([{"Type": "cat", "age": "4"}], "cat"),
        ([{"class": {"cat": True, "dog": False}}], "cat"),
    ],
)
def test_where_via_has_the_class(attributes: list[dict[str, Any]], name: str) -> None:
    shape = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}
    regions = [{"shape_attributes": shape, "region_attributes": one} for one in attributes]
    (found,) = read_via({"a": {"filename": "a.jpg", "regions": regions}}, FILE, strict())
    assert [shape.name for shape in found.shapes] == [name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (3, "some/file.json: VIA's files are an object with one entry an image, got 3"),
        (
            {"a": {"filename": "x", "regions": [{"region_attributes": {"colour": "red", "age": "4"}}]}},
            "which attribute of the regions is the class. There are colour, age; name it class",
        ),
    ],
)
def test_what_is_not_via(content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_via(content, FILE, strict())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (1, "must be an object, got 1"),
        ({"regions": []}, "filename must be a text, got None"),
        ({"filename": "\0", "regions": []}, "filename must be a text"),
        ({"filename": "x", "regions": 3}, "x: regions must be a list, got 3"),
        ({"filename": "x"}, "x: regions must be a list, got None"),
    ],
)
def test_entries_of_via_that_are_none(entry: Any, message: str) -> None:
    bad_data = BadData(FILE, "skip")
    found = read_via({"a": {"filename": "a.jpg", "regions": []}, "b": entry}, FILE, bad_data)
    assert [one.name for one in found] == ["a.jpg"]
    assert bad_data.counts == {Fault.BAD_IMAGE: 1}
    assert f"{FILE}: entry 2: {message}" in bad_data.summary()


@pytest.mark.parametrize("region", [3, None, {"region_attributes": [1]}, {"region_attributes": {"class": "cat"}}])
def test_regions_of_via_that_are_no_box(region: Any) -> None:
    good = {"shape_attributes": {"x": 1, "y": 2, "width": 3, "height": 4}, "region_attributes": {"class": "cat"}}
    (found,) = read_via([{"filename": "a.jpg", "regions": [region, good]}], FILE, strict())
    assert isinstance(found.shapes[0].box, str)
    assert found.shapes[1] == (2, "cat", (1, 2, 4, 6))
