"""Where BCCD comes from: a local copy, or the archive of its repository."""

from __future__ import annotations

import socket
import zipfile
from http.client import HTTPException
from pathlib import Path

ARCHIVE_URL = "https://github.com/Shenggan/BCCD_Dataset/archive/refs/heads/master.zip"
FOLDERS = ("JPEGImages", "Annotations", "ImageSets/Main")

_TIMEOUT_S = 60.0


def find_data_folder(folder: Path) -> Path:
    """The folder that holds BCCD's files: `folder`, its sub-folder `BCCD`, or that of its only sub-folder.

    Raises:
        FileNotFoundError: none of them holds all of `FOLDERS`; the message says what is missing in `folder`.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; BCCD's {', '.join(FOLDERS)} were expected in it")
    tops = [path for path in folder.iterdir() if path.is_dir()]
    inside = [tops[0], tops[0] / "BCCD"] if len(tops) == 1 else []
    for candidate in (folder, folder / "BCCD", *inside):
        if all((candidate / name).is_dir() for name in FOLDERS):
            return candidate
    missing = [name for name in FOLDERS if not (folder / name).is_dir()]
    raise FileNotFoundError(
        f"{folder} is not a copy of BCCD: it has no {', '.join(missing)}, nor has a BCCD folder in it"
    )


def download(url: str, folder: Path, source_variable: str) -> Path:
    """Download and unpack the repository's archive.

    Args:
        url: of a zip file.
        folder: existing, to unpack into.
        source_variable: the environment variable that the error message offers as a way round the download.

    Returns:
        The folder with BCCD's files.

    Raises:
        ConnectionError: no answer, an error status, or a file that is not a complete zip archive.
        FileNotFoundError: the archive holds something else.
    """
    from torch.hub import download_url_to_file  # torch takes seconds to import, and only a download needs it

    archive = folder / "archive.zip"
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)  # torch sets none, and a server that falls silent would block for ever
    try:
        download_url_to_file(url, str(archive))
        content = zipfile.ZipFile(archive)  # a download cut short is noticed here
    except (OSError, HTTPException, zipfile.BadZipFile) as error:
        raise ConnectionError(
            f"could not download BCCD from {url}: {error}\n"
            f"To go without: fetch {ARCHIVE_URL} on another machine, unpack it here, and set the environment variable "
            f"{source_variable} to the folder in it that holds {', '.join(FOLDERS)} (it is named BCCD)."
        ) from error
    finally:
        socket.setdefaulttimeout(before)
    with content:
        content.extractall(folder / "archive")
    return find_data_folder(folder / "archive")
