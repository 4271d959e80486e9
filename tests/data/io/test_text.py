import logging
from pathlib import Path

import pytest

from mvdet.data.io.text import decode, read_text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("cat\ndog", "ascii"),
        ("café Größe 90° 50£ naïve", "utf-8"),
        ("кот собака", "utf-8"),
        ("γάτα", "utf-8"),
        ("חתול", "utf-8"),
        ("猫 犬 고양이", "utf-8"),
        ("狗", "utf-8-sig"),
        ("狗 cat", "utf-16"),
        ("狗 cat", "utf-32"),
    ],
)
def test_what_needs_no_guess(text: str, encoding: str) -> None:
    decoded = decode(text.encode(encoding), "a.txt")
    assert decoded.text == text
    assert not decoded.guessed


@pytest.mark.parametrize(
    ("text", "encoding", "named"),
    [
        ("红灯\n绿灯", "gb2312", "gb2312"),
        ("图片 目录 联通", "gb2312", "gb2312"),  # valid UTF-8, each word of them
        ("片", "gb2312", "gb2312"),
        ("img狗1", "gb2312", "gb2312"),
        ("交通燈 紅色 车辆", "gbk", "gb18030"),
        ("ねこ 犬", "shift_jis", "shift_jis"),
        ("歩行者 自動車", "shift_jis", "shift_jis"),
        ("Größe", "cp1252", "cp1252"),
        ("café à la crème", "cp1252", "cp1252"),
        ("cat dog", "utf-16-le", "utf-16-le"),
        ("cat dog", "utf-16-be", "utf-16-be"),
    ],
)
def test_guesses(tmp_path: Path, text: str, encoding: str, named: str, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(text.encode(encoding))
    with caplog.at_level(logging.WARNING):
        assert read_text(file) == text
    assert f"{file}: neither UTF-8 nor a declared encoding, read as {named}: " in caplog.text


@pytest.mark.parametrize(
    ("data", "declared", "text"),
    [
        ("犬".encode("euc_jp"), "euc-jp", "犬"),
        ("犬".encode(), "gb2312", "犬"),
        ("Größe".encode("latin-1"), "iso-8859-1", "Größe"),
        ("犬".encode(), "no such encoding", "犬"),
        ("犬".encode(), "hex", "犬"),
        ("犬".encode("utf-8-sig"), "gb2312", "犬"),
        ("图片".encode(), "gb2312", "图片"),
    ],
)
def test_declared_encodings(data: bytes, declared: str, text: str) -> None:
    assert decode(data, "a.xml", declared) == (text, decode(data, "a.xml", declared).encoding, False)


@pytest.mark.parametrize("data", [b"\x81\x8d\x8f", b"\0\0\0\0\0", b"a\0\0b\xff", b"\xff\xfea", bytes(range(256))])
def test_no_text(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^a.txt: not text in an encoding known here; tried utf"):
        decode(data, "a.txt")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        read_text(tmp_path / "none.txt")
