from pathlib import Path

import pytest

from mvdet.data.voc import VocObject, read_annotation, read_image_list

OBJECT = (
    "<object><name> RBC </name><truncated>1</truncated><difficult>0</difficult>"
    "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3.5</xmax><ymax>4</ymax></bndbox>"
    "<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part></object>"
)
SIZE = "<size><width>64</width><height>48</height></size>"


def write(folder: Path, content: str) -> Path:
    file = folder / "a.xml"
    file.write_text(content)
    return file


def test_an_annotation(tmp_path: Path) -> None:
    file = write(tmp_path, f"<annotation><filename>a.jpg</filename>{SIZE}{OBJECT}{OBJECT}</annotation>")
    annotation = read_annotation(str(file))
    expected = VocObject("RBC", (1, 2, 3.5, 4), difficult=False, truncated=True)
    assert annotation.objects == (expected, expected)
    assert (annotation.file, annotation.filename) == (file, "a.jpg")
    assert (annotation.width, annotation.height) == (64, 48)
    assert expected.edges == (0, 1, 3.5, 4)


def test_no_objects_and_no_filename(tmp_path: Path) -> None:
    annotation = read_annotation(write(tmp_path, f"<annotation>{SIZE}</annotation>"))
    assert annotation.objects == ()
    assert annotation.filename == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation>", "not well-formed XML"),
        ("", "not well-formed XML"),
        ("<html></html>", "must be <annotation>, got <html>"),
        ("<annotation></annotation>", "<size/width> is missing"),
        (f"<annotation>{SIZE.replace('64', '0')}</annotation>", "<size/width> .* at least 1, got 0"),
        (f"<annotation>{SIZE.replace('48', '4.5')}</annotation>", "<size/height> .* whole number .* got 4.5"),
        (f"<annotation>{SIZE}{OBJECT}<object/></annotation>", "object 2: <name> is missing"),
        (f"<annotation>{SIZE}{OBJECT.replace(' RBC ', ' ')}</annotation>", "object 1: <name> is missing or empty"),
        (f"<annotation>{SIZE}{OBJECT.replace('3.5', 'wide')}</annotation>", "object 1: <bndbox/xmax> .* got 'wide'"),
        (f"<annotation>{SIZE}{OBJECT.replace('3.5', 'nan')}</annotation>", "object 1: <bndbox/xmax> must be finite"),
        (f"<annotation>{SIZE}<object><name>a</name></object></annotation>", "object 1: <bndbox/xmin> is missing"),
        (f"<annotation>{SIZE}{OBJECT.replace('>0<', '>yes<')}</annotation>", "object 1: <difficult> .* got 'yes'"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, content: str, message: str) -> None:
    file = write(tmp_path, content)
    with pytest.raises(ValueError, match=message) as error:
        read_annotation(file)
    assert str(file) in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_annotation(tmp_path / "nowhere.xml")


def test_image_lists(tmp_path: Path) -> None:
    file = tmp_path / "train.txt"
    file.write_text("a\r\nb  1\n\nc -1\n")
    assert read_image_list(file) == ["a", "b", "c"]
    file.write_text("a\nb\na\n")
    with pytest.raises(ValueError, match=r"train.txt: lists images twice: a$"):
        read_image_list(file)
    file.write_text("\n")
    with pytest.raises(ValueError, match=r"train.txt: lists no image"):
        read_image_list(file)
