import errno
import io
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, features

from mvdet.data.io import images as image_files
from mvdet.data.io.faults import Fault
from mvdet.data.io.images import BadImageError, check_header, image_size, read_image

SHARED = Path(__file__).parents[4] / "shared/cases/jpeg_called_cut_short"
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")

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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", pytest.param("AVIF", marks=needs_avif)])
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


def with_orientation(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(kind, exif=exif, **({"quality": 100} if kind in ("JPEG", "WEBP", "AVIF") else {}))


KINDS = ["JPEG", "PNG", "WEBP", "TIFF", pytest.param("AVIF", marks=needs_avif)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright_unless_their_annotations_are_not(file: Path, kind: str, orientation: int) -> None:
    file.write_bytes(with_orientation(kind, orientation))
    with Image.open(file) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture).convert("RGB")).astype(int)
    turns = orientation >= 5
    assert upright.shape == ((64, 48, 3) if turns else (48, 64, 3))
    assert image_size(file) == ((48, 64) if turns else (64, 48))
    for annotated in (None, (48, 64)) if turns else (None, (64, 48)):
        np.testing.assert_allclose(read_image(file, annotated).astype(int), upright, atol=3)
        doubtful = orientation in (2, 3, 4) and annotated is not None
        assert check_header(file, annotated) is doubtful
    if turns:  # by an old tool, which counts the stored pixels
        stored = read_image(file, (64, 48))
        assert check_header(file, (64, 48)) is False
    with pytest.raises(BadImageError, match=r"pixels, but the annotations say 100 x 48"):
        check_header(file, (100, 48))
    if turns:
        file.write_bytes(with_orientation(kind, 1))
        np.testing.assert_array_equal(stored, read_image(file))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_pictures_of_one_column_go_to_torch(file: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (1, 9)).save(file, "PNG", exif=exif)
    assert sorted(torch.from_numpy(read_image(file)).shape) == [1, 3, 9]


def test_square_pictures_that_are_turned_are_doubtful(file: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (32, 32)).save(file, "JPEG", exif=exif)
    assert check_header(file, (32, 32)) is True
    assert check_header(file) is False


def test_headers_with_an_orientation_are_not_decoded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(image_files.cv2, "imdecode")
    for kind in ("JPEG", "PNG"):
        file.write_bytes(with_orientation(kind, 3))
        assert check_header(file, (64, 48)) is True


@pytest.mark.parametrize(
    ("mode", "kind", "wanted"),
    [
        ("I;16", "PNG", [0, 1, 127, 128, 255]),
        ("I;16", "TIFF", [0, 1, 127, 128, 255]),
        ("L", "TIFF", [0, 1, 127, 128, 255]),
        ("L", "GIF", [0, 1, 127, 128, 255]),
        ("LA", "PNG", [0, 1, 127, 128, 255]),
        ("LA", "TIFF", [0, 1, 127, 128, 255]),
        ("RGBA", "PNG", [0, 1, 127, 128, 255]),
        ("RGBA", "TIFF", [0, 1, 127, 128, 255]),
        ("RGBA", "WEBP", [0, 1, 127, 128, 255]),
        ("P", "PNG", [0, 1, 127, 128, 255]),
        ("P", "BMP", [0, 1, 127, 128, 255]),
        ("1", "PNG", [0, 0, 0, 255, 255]),
        ("1", "TIFF", [0, 0, 0, 255, 255]),
        ("I;16", "PPM", [0, 1, 127, 128, 255]),
    ],
)
def test_every_mode_is_scaled_to_eight_bits(file: Path, mode: str, kind: str, wanted: list[int]) -> None:
    grey = np.repeat(np.array([[0, 1, 127, 128, 255]], np.uint8), 4, axis=0)
    if mode == "I;16":
        picture = Image.fromarray(grey.astype(np.uint16) * 257)
    elif mode == "1":
        picture = Image.fromarray(grey >= 128)
    else:
        picture = Image.fromarray(grey).convert(mode)
        if mode in ("LA", "RGBA"):  # what is transparent keeps its colour
            picture.putalpha(Image.fromarray(np.full_like(grey, 7)))
    picture.save(file, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    assert read_image(file).tolist() == [[[value] * 3 for value in wanted]] * 4


def test_16_bits_of_colour(file: Path) -> None:
    values = np.array([[[0, 257 * 127, 65535], [257, 0, 257 * 200]]], np.uint16)
    for suffix in ("png", "tiff"):
        _, data = cv2.imencode(f".{suffix}", values[:, :, ::-1])
        file.write_bytes(data.tobytes())
        assert read_image(file).tolist() == [[[0, 127, 255], [1, 0, 200]]]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_of_several_frames_the_first(file: Path, kind: str) -> None:
    first, second = (Image.new("RGB", (8, 8), (value, value, value)) for value in (0, 255))
    first.save(file, kind, save_all=True, append_images=[second])
    assert read_image(file).max() == 0
    check_header(file, (8, 8))


def test_32_bits_are_refused_with_the_reason(file: Path) -> None:
    for values in (np.ones((4, 4), np.float32), np.full((4, 4), 10**6, np.int32)):
        Image.fromarray(values).save(file, "TIFF")
        with pytest.raises(BadImageError, match=r"a.jpg: pixels of 32 bits, whose range is not known"):
            read_image(file)


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_without_its_decoder(file: Path, brand: bytes) -> None:
    if find_spec("pillow_heif") is not None:
        pytest.skip("pillow-heif is installed")
    file.write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0" * 100)
    for look in (read_image, check_header):
        with pytest.raises(BadImageError, match=r"a.jpg: HEIC needs the package pillow-heif"):
            look(file)


def test_stray_bytes_between_segments(file: Path) -> None:
    content = encoded("JPEG")
    start = content.index(b"\xff\xdb")
    for stray in (b"\0", b"\x04\x06\0\0", b"abc" * 9):
        file.write_bytes(content[:start] + stray + content[start:])
        check_header(file, (64, 48))
        assert read_image(file).shape == (48, 64, 3)
        file.write_bytes((content[:start] + stray + content[start:])[:-200])
        with pytest.raises(BadImageError, match=r"a.jpg: the file is cut short"):
            check_header(file, (64, 48))


@pytest.mark.parametrize("name", ["photoshop-200dpi-broken.jpg", "truncated_app14.jpg"])
def test_jpegs_of_pillows_tests(name: str) -> None:
    file = SHARED / name
    if not file.is_file():
        pytest.skip(f"no {file}")
    check_header(file, (200, 200) if "photoshop" in name else (100, 100))
    with Image.open(file) as picture:
        np.testing.assert_allclose(read_image(file).astype(int), np.asarray(picture).astype(int), atol=2)


def test_what_is_filled_up_with_zeros_is_cut_short(file: Path) -> None:
    content = encoded("JPEG")
    file.write_bytes(content[:-500] + b"\0" * 500)  # of a download that reserved its place
    with pytest.raises(BadImageError, match=r"cut short"):
        read_image(file)


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


def test_a_folder_is_no_image(file: Path) -> None:
    file.mkdir()
    for look in (lambda: check_header(file, (64, 48)), lambda: read_image(file)):
        with pytest.raises(BadImageError, match=r"a.jpg: no such file"):
            look()


def test_trouble_of_the_system_is_no_bad_image(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    file.write_bytes(encoded("JPEG"))
    monkeypatch.setattr(Path, "open", fail)
    monkeypatch.setattr(Path, "read_bytes", fail)
    for look in (lambda: check_header(file, (64, 48)), lambda: read_image(file)):
        with pytest.raises(OSError, match=r"Input/output error"):
            look()


def test_another_size(file: Path) -> None:
    file.write_bytes(encoded("PNG"))
    with pytest.raises(BadImageError, match=r"a.jpg: has 64 x 48 pixels, but the annotations say 48 x 64") as error:
        check_header(file, (48, 64))
    assert error.value.fault is Fault.OTHER_SIZE
