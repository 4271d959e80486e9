import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mvdet.data.io import images as image_files
from mvdet.data.io.faults import Fault
from mvdet.data.io.images import BadImageError, check_header, read_image

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def encoded(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PICTURE).save(stream, kind, **options)
    return stream.getvalue()


def with_thumbnail() -> bytes:
    """A JPEG whose EXIF segment holds another, complete JPEG."""
    exif = b"Exif\0\0" + encoded("JPEG", quality=20)
    return b"\xff\xd8\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + encoded("JPEG")[2:]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.jpg"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
def test_pixels_are_pillows(file: Path, kind: str) -> None:
    file.write_bytes(encoded(kind))
    check_header(file, (64, 48))
    image = read_image(file)
    assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)
    with Image.open(file) as picture:
        np.testing.assert_allclose(image.astype(int), np.asarray(picture.convert("RGB")).astype(int), atol=2)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16"])
def test_other_modes_become_rgb(file: Path, mode: str) -> None:
    picture = Image.new("I;16", (64, 48), 40000) if mode == "I;16" else Image.fromarray(PICTURE).convert(mode)
    picture.save(file, "JPEG" if mode == "CMYK" else "PNG")
    assert read_image(file).shape == (48, 64, 3)


def test_exif_orientation_is_applied_only_where_asked(file: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    file.write_bytes(encoded("JPEG", exif=exif))
    check_header(file, (64, 48))
    assert read_image(file).shape == (48, 64, 3)
    assert read_image(file, upright=True).shape == (64, 48, 3)


@pytest.mark.parametrize("content", [encoded("JPEG"), encoded("JPEG", progressive=True), with_thumbnail()])
def test_complete_jpegs_with_bytes_behind_them(file: Path, content: bytes) -> None:
    for more in (b"", b"\0" * 5000):
        file.write_bytes(content + more)
        check_header(file, (64, 48))
        assert read_image(file).shape == (48, 64, 3)


def test_long_headers(file: Path) -> None:
    content = encoded("JPEG")
    comment = b"\xff\xfe\xff\xff" + b"\0" * 65_533
    file.write_bytes(content[:2] + 3 * comment + content[2:])
    check_header(file, (64, 48))
    with pytest.raises(BadImageError, match=r"has 64 x 48 pixels"):
        check_header(file, (64, 49))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"exif": b"Exif\0\0" + b"\0" * 300}])
@pytest.mark.parametrize("size", [(1, 1), (300, 7), (640, 480)])
def test_headers_tell_the_size_without_decoding(
    file: Path, size: tuple[int, int], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(image_files.cv2, "imdecode", refuse)
    for kind in ("JPEG", "PNG"):
        Image.new("RGB", size).save(file, kind, **options)
        check_header(file, size)
        with pytest.raises(BadImageError, match=rf"has {size[0]} x {size[1]} pixels"):
            check_header(file, (size[0], size[1] + 1))


@pytest.mark.parametrize("lost", [1, 2, 100, 1500])
@pytest.mark.parametrize(
    "content", [encoded("JPEG"), encoded("JPEG", progressive=True), with_thumbnail(), encoded("PNG")]
)
def test_files_cut_short(file: Path, content: bytes, lost: int) -> None:
    file.write_bytes(content[:-lost])
    for look in (lambda: check_header(file, (64, 48)), lambda: read_image(file)):
        with pytest.raises(BadImageError, match=r"a.jpg: the file is cut short") as error:
            look()
        assert error.value.fault is Fault.UNREADABLE_IMAGE


@pytest.mark.parametrize("kind", ["JPEG", "thumbnail", "PNG", "BMP", "WEBP", "GIF"])
def test_files_that_end_anywhere(file: Path, kind: str) -> None:
    content = with_thumbnail() if kind == "thumbnail" else encoded(kind)
    for share in (0.01, 0.1, 0.3, 0.5, 0.7, 0.9):
        file.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(BadImageError, match=r"a.jpg"):
            read_image(file)
        with pytest.raises(BadImageError, match=r"a.jpg"):
            check_header(file, (64, 48))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8", b"\xff\xd8\xff\xd9"])
def test_files_that_are_no_images(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    for look in (lambda: check_header(file, (64, 48)), lambda: read_image(file)):
        with pytest.raises(BadImageError, match=r"a.jpg") as error:
            look()
        assert error.value.fault is Fault.UNREADABLE_IMAGE


def test_missing_files(file: Path) -> None:
    for look in (lambda: check_header(file, (64, 48)), lambda: read_image(file)):
        with pytest.raises(BadImageError, match=r"a.jpg: no such file") as error:
            look()
        assert error.value.fault is Fault.MISSING_IMAGE


def test_trouble_of_the_system_is_no_bad_image(file: Path) -> None:
    file.mkdir()
    for look in (lambda: check_header(file, (64, 48)), lambda: read_image(file)):
        with pytest.raises(IsADirectoryError):
            look()


def test_another_size(file: Path) -> None:
    file.write_bytes(encoded("PNG"))
    with pytest.raises(BadImageError, match=r"a.jpg: has 64 x 48 pixels .* annotations say 48 x 64") as error:
        check_header(file, (48, 64))
    assert error.value.fault is Fault.OTHER_SIZE
