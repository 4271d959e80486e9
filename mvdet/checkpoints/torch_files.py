"""Files of `torch.save`, read without running what is in them or taking more memory than they fill on disk."""

import mmap
import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, cast

import torch

from mvdet.checkpoints.pickle_scan import RefusedError, scan_pickles
from mvdet.checkpoints.stand_ins import STAND_INS
from mvdet.wording import first_line

ZIP_MAGIC, _PICKLE_MAGIC = b"PK\x03\x04", b"\x80"
# Before release 1.6: a magic number, the format's version, the machine, the content and its storages' keys.
_OLD_PICKLES = 5
# The end of a zip archive: the record that points to its directory, and before it, as torch writes it for archives of
# any size, the larger record and its address.
_END, _ADDRESS, _LARGE_END = struct.Struct("<4s4H2LH"), struct.Struct("<4sLQL"), struct.Struct("<4sQ2H2L4Q")


def read_torch(path: Path, *, stand_ins: bool = False) -> Any:
    """The content of a file that `torch.save` wrote: weights or a training checkpoint, read with `weights_only=True`.

    Args:
        path: the file.
        stand_ins: read settings and records that other training code keeps beside its weights, too: as empty objects,
            see `STAND_INS`.

    Raises:
        ValueError: if it cannot be read, would need arbitrary pickle or more memory than its size; says which.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        if magic != ZIP_MAGIC and not magic.startswith(_PICKLE_MAGIC):
            raise ValueError(f"not a torch file; {beginning(path)}")
        try:
            storages = (_scan_archive if magic == ZIP_MAGIC else _scan_old)(file, path, stand_ins=stand_ins)
            size, wanted = path.stat().st_size, sum(storages.values())
            if wanted > size:
                raise RefusedError(f"refused, its {size} bytes claim to hold {wanted} bytes of tensors")
            with torch.serialization.safe_globals([(made, name) for name, made in STAND_INS.items()]):
                file.seek(0)
                # by its path torch takes a file of that suffix for another one
                return torch.load(
                    file if path.suffix == ".safetensors" else path, map_location="cpu", weights_only=True
                )
        except RefusedError as error:
            raise ValueError(str(error)) from None
        except Exception as error:  # whatever bytes somebody chose can make zipfile, torch and the unpickler raise
            # torch's own advice is to switch the safety off
            reason = "" if isinstance(error, pickle.UnpicklingError) else f" ({first_line(error)})"
            raise ValueError(f"not a readable torch file, truncated or damaged{reason}") from None


def _scan_old(file: IO[bytes], _: Path, *, stand_ins: bool) -> Mapping[str, int]:
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:  # reads no further than it is long
        return scan_pickles(cast(IO[bytes], content), _OLD_PICKLES, stand_ins=stand_ins)


def _scan_archive(file: IO[bytes], path: Path, *, stand_ins: bool) -> Mapping[str, int]:
    size = path.stat().st_size
    _check_directory(file, size)
    storages: dict[str, int] = {}
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        names = [entry.filename.partition("/")[2] for entry in entries]
        if "constants.pkl" in names:
            raise RefusedError("a TorchScript archive; save the original module's state_dict() instead")
        # torch stores tensors without compression: an archive that would unpack to more than itself is not torch's.
        if (unpacked := sum(entry.file_size for entry in entries)) > size:
            raise RefusedError(
                f"refused, its {size} bytes would unpack to {unpacked}: torch does not compress, this file is made to "
                "fill the memory"
            )
        for name, entry in zip(names, entries, strict=True):
            # torch does not tell upper from lower case: one entry must not go by many names
            if name != name.lower() or (name.startswith("data/") and not name.removeprefix("data/").isdecimal()):
                raise RefusedError(f"refused, torch names no part of its archives {name[:100]!r}")
            if name == "data.pkl":
                with archive.open(entry) as content:
                    storages |= scan_pickles(content, stand_ins=stand_ins)
    return storages


def _check_directory(file: IO[bytes], size: int) -> None:
    """The directory of an archive must lie where all say it does: torch and zipfile might read different ones."""
    position = size - _END.size
    file.seek(position)
    signature, *_, length, start, comment = _END.unpack(file.read(_END.size))
    if signature != b"PK\5\6" or comment:
        raise ValueError("its last bytes are not the end of an archive")
    file.seek(position - _ADDRESS.size)
    signature, _, at, _ = _ADDRESS.unpack(file.read(_ADDRESS.size))
    if signature == b"PK\6\7":
        position -= _ADDRESS.size + _LARGE_END.size
        file.seek(position)
        signature, *_, length, start = _LARGE_END.unpack(file.read(_LARGE_END.size))
        if signature != b"PK\6\6" or at != position:
            raise RefusedError("refused, the archive has two ends")
    if start + length != position:
        raise RefusedError("refused, the archive's directory is not where the archive says: it may have two of them")


_OTHER_FILES = {
    b"version https://git-lfs": "a git-lfs pointer, `git lfs pull` fetches the file",
    b"<": "a web page",
    b"\x1f\x8b": "a gzip archive",
}


def beginning(path: Path) -> str:
    """What a file begins with: a web page, or a git-lfs pointer, in place of weights is then seen at once."""
    with path.open("rb") as file:
        start = file.read(40)
    known = next((f": {what}" for magic, what in _OTHER_FILES.items() if start.lstrip().startswith(magic)), "")
    return f"it begins with {start!r}{known}" if start else "it is empty"


# How a pickle of protocol 2, which torch.save writes, names the class of a network of ultralytics.
_NETWORK = b"cultralytics.nn."
_MOST_BYTES = 64 * 2**20  # of a pickle, whose tensors lie elsewhere: YOLO's have some hundred kilobytes


def is_ultralytics_file(path: str | Path) -> bool:
    """Whether a file is a checkpoint that ultralytics saved, such as `best.pt`; False for all else, damaged files too.

    Raises:
        FileNotFoundError: no such file.
    """
    path = Path(path)
    if path.is_dir():
        return False
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            return False
        try:
            with zipfile.ZipFile(file) as archive:
                names = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
                return any(_NETWORK in archive.open(name).read(_MOST_BYTES) for name in names)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):  # damaged, or encrypted
            return False
