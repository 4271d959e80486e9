"""Text in the encodings that people's files have: lists of images, class names, XML."""

import codecs
import logging
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

logger = logging.getLogger(__name__)

_MARKS = (  # UTF-32's before UTF-16's, which they begin with
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_GB_COMMON = {*range(0xA1, 0xAA), *range(0xB0, 0xD8)}  # symbols, and level 1: the 3755 characters in daily use
_JIS_COMMON = {*range(0x81, 0x85), *range(0x88, 0x98)}  # symbols, kana, and level 1 of the kanji
_GUESSES: tuple[tuple[str, Collection[int] | None], ...] = (
    ("gb2312", _GB_COMMON),
    ("shift_jis", _JIS_COMMON),
    ("gb18030", _GB_COMMON),
    ("cp1252", None),
)
"""What text may be that says nothing of its encoding and is no UTF-8, in the order of trial, with the first bytes of
the characters that most of such a text consists of; None takes whatever can be decoded."""

_UNLIKELY = re.compile(
    "[\u0180-\u0385\u03cf-\u03ff\u0460-\u05cf\u05eb-\u0620\u064b-\u07ff]"  # letters of no language in wide use
    "|[\u00a0-\u00bf\u00d7\u00f7][\u0080-\u07ff]|[\u0080-\u07ff][\u00a0-\u00bf\u00d7\u00f7]"  # signs beside letters
)
"""What UTF-8 of two bytes a character seldom has, and GB2312 read as UTF-8 nearly always."""


class Decoded(NamedTuple):
    """Text, the encoding that it was read in, and whether that is a guess."""

    text: str
    encoding: str
    guessed: bool = False


def read_text(file: str | Path) -> str:
    """The text of a file, without a byte order mark; a guess at its encoding is logged as a warning (see `decode`).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not text; the message names the file.
    """
    decoded = decode(Path(file).read_bytes(), file)
    if decoded.guessed:
        logger.warning("%s: %s", file, guess_remark(decoded))
    return decoded.text


def guess_remark(decoded: Decoded) -> str:
    """What to say of text whose encoding was guessed, with a piece of it that shows whether the guess is right."""
    words = [word for word in decoded.text.split() if not word.isascii()]
    return f"neither UTF-8 nor a declared encoding, read as {decoded.encoding}: {' '.join(words[:3])[:80]!r}"


def decode(data: bytes, source: object, declared: str | None = None) -> Decoded:
    """Text from bytes, by the first of these that works.

    1. a byte order mark (UTF-8, UTF-16, UTF-32);
    2. the encoding that the file declares for itself, as XML may;
    3. UTF-8, but for characters that no language has side by side, where GB2312 makes them common ones: in GB2312,
       some words are valid UTF-8 by chance;
    4. a guess: UTF-16 where every other byte is 0; else GB2312, Shift-JIS and GB18030 where most of the characters
       would be common ones, and Windows' Western encoding (cp1252).

    Args:
        data: the content of a file.
        source: the file, for messages.
        declared: the name of an encoding, known to Python or not.

    Raises:
        ValueError: none of them, or characters that no text has.
    """
    mark = next((encoding for start, encoding in _MARKS if data.startswith(start)), None)
    known = [mark] if mark else [*([declared] if declared else []), "utf-8"]
    for encoding in known:
        text = _decoded(data, encoding)
        if text is not None and "\0" not in text:
            if encoding == "utf-8" and declared is None and (chinese := _chinese_by_chance_utf8(data, text)):
                return chinese
            return Decoded(text, encoding)
    if mark is None:
        for encoding, common in [(_wide(data), None)] if b"\0" in data else _GUESSES:
            text = _decoded(data, encoding)
            if text is not None and "\0" not in text and (common is None or _is_plausible(text, encoding, common)):
                return Decoded(text, encoding, guessed=True)
    tried = ", ".join(dict.fromkeys([*known, *(name for name, _ in _GUESSES)] if mark is None else known))
    raise ValueError(f"{source}: not text in an encoding known here; tried {tried}")


def _chinese_by_chance_utf8(data: bytes, text: str) -> Decoded | None:
    """The text in GB2312, where that is likelier than the UTF-8 that it was read as."""
    if text.isascii() or max(text) > "\u07ff" or not _UNLIKELY.search(text):
        return None
    chinese = _decoded(data, "gb2312")
    if chinese is None or not _is_plausible(chinese, "gb2312", _GB_COMMON):
        return None
    return Decoded(chinese, "gb2312", guessed=True)


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeError, LookupError):
        return None


def _wide(data: bytes) -> str:
    """Which UTF-16 has its zeros where most of these bytes' are."""
    return "utf-16-le" if data[1::2].count(0) >= data[::2].count(0) else "utf-16-be"


def _is_plausible(text: str, encoding: str, common: Collection[int]) -> bool:
    """Whether most of the characters beyond ASCII are common ones in the encoding."""
    first = [character.encode(encoding)[0] for character in text if not character.isascii()]
    return 2 * sum(byte in common for byte in first) > len(first)
