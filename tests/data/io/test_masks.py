from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mvdet.data.io.faults import Fault
from mvdet.data.io.images import BadImageError
from mvdet.data.io.masks import check_mask_values, read_mask, voc_palette

VALUES: NDArray[np.uint8] = np.array([[0, 1, 2, 3], [3, 2, 255, 0], [20, 20, 20, 0]], dtype=np.uint8)


def palette(values: NDArray[np.uint8]) -> Image.Image:
    picture = Image.fromarray(values).convert("P")
    picture.putpalette(voc_palette())
    return picture


@pytest.mark.parametrize("kind", ["palette", "grey", "16 bits"])
def test_class_numbers_are_read_as_they_are(tmp_path: Path, kind: str) -> None:
    picture = {
        "palette": palette(VALUES),
        "grey": Image.fromarray(VALUES),
        "16 bits": Image.fromarray(VALUES.astype(np.uint16)),
    }[kind]
    picture.save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png", 21)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, VALUES)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palettes_of_few_colours(tmp_path: Path, bits: int) -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) % 2**bits
    palette(values).save(tmp_path / "m.png", bits=bits)
    assert (tmp_path / "m.png").read_bytes()[24] == bits
    assert np.array_equal(read_mask(tmp_path / "m.png", 16), values)


def grey_png(values: NDArray[np.uint8], bits: int) -> bytes:
    """A grey PNG of 1, 2 or 4 bits, which Pillow does not write."""
    import struct
    import zlib

    height, width = values.shape
    rows = [np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - bits :].reshape(-1)).tobytes() for row in values]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits(tmp_path: Path, bits: int) -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 4) % 2**bits
    (tmp_path / "m.png").write_bytes(grey_png(values, bits))
    assert np.array_equal(read_mask(tmp_path / "m.png", 16), values)


@pytest.mark.parametrize(
    ("write", "fault", "message"),
    [
        (lambda file: None, Fault.MISSING_MASK, "no such file"),
        (lambda file: file.write_bytes(b""), Fault.UNREADABLE_MASK, "not a PNG file that can be read"),
        (lambda file: Image.fromarray(VALUES).save(file, "JPEG"), Fault.UNREADABLE_MASK, "not a PNG file"),
        (lambda file: palette(VALUES).convert("RGB").save(file), Fault.NO_INDEX_MASK, "RGB; a mask must be a palette"),
        (lambda file: palette(VALUES).convert("RGBA").save(file), Fault.NO_INDEX_MASK, "RGB with transparency"),
        (lambda file: Image.fromarray(VALUES).convert("LA").save(file), Fault.NO_INDEX_MASK, "grey with transparency"),
        (
            lambda file: palette(VALUES + np.uint8(2)).save(file),  # 255 becomes 1
            Fault.UNKNOWN_LABEL,
            r"has the class numbers 22 \(first at row 2, column 0\), allowed are 0 to 20 and 255",
        ),
        (
            lambda file: Image.fromarray(VALUES.astype(np.uint16) * 256).save(file),
            Fault.UNKNOWN_LABEL,
            "has the class numbers 256, 512, 768, 5120, 65280",
        ),
    ],
)
def test_what_is_no_mask(tmp_path: Path, write, fault: Fault, message: str) -> None:
    file = tmp_path / "m.png"
    write(file)
    with pytest.raises(BadImageError, match=rf"^{file}: .*{message}|^{file}: {message}") as error:
        read_mask(file, 21)
    assert error.value.fault is fault


def test_masks_that_are_cut_short(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 21, (200, 200), dtype=np.uint8)
    palette(noise).save(tmp_path / "m.png")
    data = (tmp_path / "m.png").read_bytes()
    for end in (20, 100, len(data) // 2, len(data) - 40):
        (tmp_path / "m.png").write_bytes(data[:end])
        with pytest.raises(BadImageError, match=r"m\.png: not a PNG file that can be read") as error:
            read_mask(tmp_path / "m.png", 21)
        assert error.value.fault is Fault.UNREADABLE_MASK


@pytest.mark.parametrize("kind", ["palette", "grey", "16 bits"])
def test_other_numbers_stand_for_the_classes(tmp_path: Path, kind: str) -> None:
    """Black and white, and any other list; 255 is no class unless the list has it."""
    values: NDArray[np.uint8] = np.array([[0, 255, 255], [0, 0, 255]], dtype=np.uint8)
    make = {"palette": palette, "grey": Image.fromarray, "16 bits": lambda v: Image.fromarray(v.astype(np.uint16))}
    make[kind](values).save(tmp_path / "m.png")
    assert read_mask(tmp_path / "m.png", 2).tolist() == values.tolist()
    assert read_mask(tmp_path / "m.png", 2, (0, 255)).tolist() == (values // 255).tolist()
    assert read_mask(tmp_path / "m.png", 2, (255, 0)).tolist() == (1 - values // 255).tolist()
    assert read_mask(tmp_path / "m.png", 2, (0, 128)).tolist() == values.tolist()


def test_a_number_that_is_not_listed(tmp_path: Path) -> None:
    palette(VALUES).save(tmp_path / "m.png")
    with pytest.raises(
        BadImageError, match=r"class numbers 1, 3, 20 .*, allowed are 0, 2 and 255 for pixels that"
    ) as e:
        read_mask(tmp_path / "m.png", 2, (0, 2))
    assert e.value.fault is Fault.UNKNOWN_LABEL
    with pytest.raises(BadImageError, match=r"class numbers 3, 20 .*; --mask-values names others$"):
        read_mask(tmp_path / "m.png", 3)


@pytest.mark.parametrize("values", [(0,), (0, 1, 2), (0, 0), (0, 256), (-1, 0)])
def test_values_that_cannot_be_those_of_two_classes(values: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"mask_values must be different numbers .* 2 classes, got"):
        check_mask_values(values, 2)
    check_mask_values((0, 255), 2)
