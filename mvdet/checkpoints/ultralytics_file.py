"""Tells checkpoints of ultralytics, which hold pickled networks, from files of weights, without unpickling them."""

import zipfile
import zlib
from pathlib import Path

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
