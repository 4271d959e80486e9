"""What a json file holds, told from its first and last bytes: annotation files reach hundreds of megabytes."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

_BYTES = 262_144  # of each end

_KINDS = {
    "via": (rb'"(via_|_via_)?(regions|region_attributes)"\s*:', rb'"(shape_attributes|file_attributes)"\s*:'),
    "labelme": (rb'"shapes"\s*:\s*\[', rb'"(imagePath|imageData|imageHeight)"\s*:'),
    "coco": (rb'"(images|annotations)"\s*:\s*\[', rb'"(categories|file_name|image_id)"\s*:'),
}
"""By format: what all must occur in a file of it."""

_FILE_NAME = re.compile(r'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')


def json_kind(file: Path) -> str | None:
    """What a file is: "coco", "labelme" or "via"; None for any other."""
    if file.suffix.lower() != ".json":
        return None
    content = b"\n".join(_ends(file)).replace(b"\0", b"")  # UTF-16 has one beside each letter
    return next((kind for kind, all_of in _KINDS.items() if all(re.search(one, content) for one in all_of)), None)


def some_file_names(file: Path, most: int = 20) -> list[str]:
    """A few of the file names that a COCO json gives its images."""
    names: list[str] = []
    for part in _ends(file):
        for text in _FILE_NAME.findall(_decoded(part)):
            try:
                names.append(str(json.loads(text)))
            except json.JSONDecodeError:  # the part begins or ends within it
                continue
    step = max(1, len(names) // most)
    return names[::step][:most]


def _ends(file: Path) -> Iterator[bytes]:
    """The first bytes of a file and, where it has more, the last."""
    with file.open("rb") as stream:
        yield stream.read(_BYTES)
        length = stream.seek(0, os.SEEK_END)
        if length > _BYTES:
            stream.seek(max(_BYTES, length - _BYTES))
            yield stream.read()


def _decoded(data: bytes) -> str:
    return data.replace(b"\0", b"").decode("utf-8", errors="replace")
