from pathlib import Path

import pytest

from mvdet.data.io.faults import BadItemError, Fault, Remark
from mvdet.data.io.voc_xml import VocObject, read_annotation

OBJECT = (
    "<object><name> RBC </name><truncated>1</truncated><difficult>0</difficult>"
    "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3.5</xmax><ymax>4</ymax></bndbox>"
    "<part><name>head</name><bndbox><xmin>9</xmin></bndbox></part></object>"
)
SIZE = "<size><width>64</width><height>48</height></size>"


def write(folder: Path, content: str | bytes) -> Path:
    file = folder / "a.xml"
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def of_object(inside: str) -> str:
    return f"<annotation>{SIZE}<object><name>cat</name>{inside}</object></annotation>"


def test_an_annotation(tmp_path: Path) -> None:
    file = write(tmp_path, f"<annotation><filename>a.jpg</filename>{SIZE}{OBJECT}{OBJECT}</annotation>")
    annotation = read_annotation(str(file))
    expected = VocObject("RBC", (1, 2, 3.5, 4), difficult=False)
    assert annotation.objects == (expected, expected)
    assert [item.number for item in annotation.objects] == [1, 2]
    assert (annotation.file, annotation.filename) == (file, "a.jpg")
    assert (annotation.width, annotation.height) == (64, 48)
    assert expected.edges == (0, 1, 3.5, 4)
    assert (annotation.faults, annotation.remarks) == ((), ())


def test_no_objects_and_no_filename(tmp_path: Path) -> None:
    annotation = read_annotation(write(tmp_path, f"<annotation>{SIZE}</annotation>"))
    assert annotation.objects == ()
    assert annotation.filename == ""


BOMB = "<!DOCTYPE a [" + "".join(
    f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha" * 50}">' for n in range(9)
) + "]>"  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<annotation>", "not well-formed XML: no element found"),
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        (b"\xff\xfe", "not well-formed XML"),
        (b"\0" * 20, "not text in an encoding known here"),
        ("<annotation>\x0b</annotation>", "not well-formed XML"),
        ("<html></html>", "must be <annotation>, got <html>"),
        (f"{BOMB}<annotation><filename>&a8;</filename></annotation>", "not well-formed XML: .*amplification"),
        ("<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/hostname'>]><annotation>&x;</annotation>", "not well-formed XML"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    file = write(tmp_path, content)
    with pytest.raises(BadItemError, match=message) as error:
        read_annotation(file)
    assert str(error.value).startswith(f"{file}: ")
    assert "\n" not in str(error.value)
    assert error.value.fault is Fault.UNREADABLE_ANNOTATION


@pytest.mark.parametrize(
    ("content", "fault", "message"),
    [
        ("<object/>", Fault.NO_NAME, "object 2: <name> is missing or empty"),
        (OBJECT.replace(" RBC ", " "), Fault.NO_NAME, "object 2: <name> is missing or empty"),
        (OBJECT.replace("3.5", "wide"), Fault.NOT_A_BOX, "object 2: <bndbox/xmax> must be a finite number, got 'wide'"),
        (OBJECT.replace("3.5", "nan"), Fault.NOT_A_BOX, "object 2: <bndbox/xmax> must be a finite number, got 'nan'"),
        (OBJECT.replace("3.5", "1,2,3"), Fault.NOT_A_BOX, "got '1,2,3'"),
        ("<object><name>a</name></object>", Fault.NOT_A_BOX, "object 2: <bndbox/xmin> is missing"),
        ("<object><name>a</name><polygon/></object>", Fault.NOT_A_BOX, "object 2: <polygon> has 0 x and 0 y"),
        ("<object><name>a</name><robndbox/></object>", Fault.NOT_A_BOX, "object 2: <robndbox/cx> is missing"),
    ],
)
def test_objects_that_cannot_be_used(tmp_path: Path, content: str, fault: Fault, message: str) -> None:
    file = write(tmp_path, f"<annotation>{SIZE}{OBJECT}{content}{OBJECT}</annotation>")
    annotation = read_annotation(file)
    assert [item.number for item in annotation.objects] == [1, 3]
    ((found, what),) = annotation.faults
    assert found is fault
    assert what.startswith(f"{file}: object 2: ")
    assert message in what


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_annotation(tmp_path / "nowhere.xml")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("", (0, 0)),
        ("<size/>", (0, 0)),
        (SIZE.replace("64", "0"), (0, 0)),
        (SIZE.replace("48", "4.5"), (0, 0)),
        (SIZE.replace("48", "tall"), (0, 0)),
        (SIZE.replace("48", "1e30"), (0, 0)),
        (SIZE.replace("48", "-48"), (0, 0)),
        (SIZE.replace("48", "48.0"), (64, 48)),
    ],
)
def test_sizes(tmp_path: Path, size: str, expected: tuple[int, int]) -> None:
    annotation = read_annotation(write(tmp_path, f"<annotation>{size}{OBJECT}</annotation>"))
    assert (annotation.width, annotation.height) == expected
    assert len(annotation.objects) == 1


@pytest.mark.parametrize(
    ("inside", "box"),
    [
        (
            "<bndbox><xmin>1,5</xmin><ymin> 2.5 </ymin><xmax>30.25</xmax><ymax>4e1</ymax></bndbox>",
            (1.5, 2.5, 30.25, 40),
        ),
        (
            "<polygon><pt><x>5</x><y>9</y></pt><pt><x>8</x><y>2</y></pt><pt><x>6</x><y>7</y></pt></polygon>",
            (5, 2, 8, 9),
        ),
        ("<polygon><x1>5</x1><y1>9</y1><x2>8,5</x2><y2>2</y2><x3>6</x3><y3>7</y3></polygon>", (5, 2, 8.5, 9)),
        (
            "<robndbox><cx>20</cx><cy>10</cy><w>8</w><h>4</h><angle>0</angle></robndbox>",
            (17, 9, 24, 12),  # edges 16, 8, 24, 12
        ),
        (
            "<robndbox><cx>20</cx><cy>10</cy><w>8</w><h>4</h><angle>1.5707963267948966</angle></robndbox>",
            (19, 7, 22, 14),
        ),
    ],
)
def test_boxes_of_every_kind(tmp_path: Path, inside: str, box: tuple[float, ...]) -> None:
    annotation = read_annotation(write(tmp_path, of_object(inside)))
    assert annotation.objects[0].box == pytest.approx(box)
    kinds = [remark for remark, _ in annotation.remarks]
    assert kinds == ([] if "bndbox><xmin" in inside else [Remark.ENCLOSING_BOX])


@pytest.mark.parametrize(
    ("flag", "difficult", "said"),
    [("", False, False), ("1", True, False), ("true", True, False), ("Unspecified", False, True), ("2", False, True)],
)
def test_difficult(tmp_path: Path, flag: str, difficult: bool, said: bool) -> None:
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    unused = "<truncated>Unspecified</truncated><pose/><occluded>maybe</occluded>"
    annotation = read_annotation(write(tmp_path, of_object(f"<difficult>{flag}</difficult>{unused}{box}")))
    assert annotation.objects[0].difficult is difficult
    assert [remark for remark, _ in annotation.remarks] == ([Remark.UNKNOWN_DIFFICULT] if said else [])


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("gb2312", "gb2312"),
        ("gbk", "GBK"),
        ("gb18030", "gb18030"),
        ("shift_jis", "Shift_JIS"),
        ("euc_jp", "EUC-JP"),
        ("big5", "Big5"),
        ("utf-8", "gb2312"),  # saved anew by an editor
        ("utf-8-sig", "gb2312"),
        ("utf-8-sig", None),
        ("utf-16", "utf-8"),
        ("utf-16", None),
        ("utf-8", "no-such-encoding"),
        ("utf-32", None),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, declared: str | None) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    text = head + f"<annotation>{SIZE}{OBJECT.replace('RBC', '山本')}</annotation>"
    annotation = read_annotation(write(tmp_path, text.encode(encoding)))
    assert annotation.objects[0].name == "山本"
    assert annotation.remarks == ()


@pytest.mark.parametrize(
    ("encoding", "name", "declared"),
    [
        ("gb2312", "红灯", None),
        ("gbk", "交通燈", "utf-8"),
        ("shift_jis", "ねこ山", None),
        ("cp1252", "Größe", None),
        ("cp1252", "café", "utf-8"),
        ("gb2312", "图片", None),  # is valid UTF-8 too
    ],
)
def test_encodings_that_are_guessed_are_remarked_on(
    tmp_path: Path, encoding: str, name: str, declared: str | None
) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>\n' if declared else ""
    text = head + f"<annotation>{SIZE}{OBJECT.replace('RBC', name)}</annotation>"
    file = write(tmp_path, text.encode(encoding))
    annotation = read_annotation(file)
    assert annotation.objects[0].name == name
    ((remark, what),) = annotation.remarks
    assert remark is Remark.GUESSED_ENCODING
    assert what.startswith(f"{file}: neither UTF-8 nor a declared encoding, read as ")
    assert name.isascii() or name in what


def test_namespaces_and_doctypes(tmp_path: Path) -> None:
    head = '<?xml version="1.0"?><!DOCTYPE annotation SYSTEM "voc.dtd"><!-- a tool\'s --> '
    text = f'{head}<annotation xmlns="http://a.b/c" xmlns:x="http://d">{SIZE}<x:y/>{OBJECT}</annotation>'
    annotation = read_annotation(write(tmp_path, text))
    assert (annotation.width, annotation.objects[0].name) == (64, "RBC")
