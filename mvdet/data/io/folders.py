"""Build a data set folder in one step: it is either complete or not there at all."""

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MARKER = "mvdet-dataset.json"
"""Written last into every folder built here: what it was built from, and how many files each of its folders holds."""

_ABANDONED_AFTER_S = 3600.0

Writer = Callable[[Path], Mapping[str, Any]]


def build_dataset(root: str | Path, settings: Mapping[str, Any], write: Writer) -> dict[str, Any]:
    """Let `write` fill a temporary sibling of `root`, then rename it to `root`.

    Safe to call from several processes at once: each builds its own sibling, the first one to finish gives `root`, and
    the others throw theirs away. A process that fails or is interrupted removes its sibling; the sibling of one that
    was killed is removed by the next build here that runs more than an hour later.

    Args:
        root: the folder to create. Missing parents are created, a symbolic link is followed.
        settings: what decides the content, as JSON values. A complete folder built with equal settings is left alone.
        write: fills the folder it is given and returns a summary, as JSON values, that is kept in the marker file.

    Returns:
        The summary: of this build, or of the earlier one that made `root`.

    Raises:
        FileExistsError: `root` holds something else: other settings, another data set, files of the user's.
        RuntimeError: `root` was complete once, but files have gone since.
    """
    root = Path(root).expanduser().resolve()
    wanted: dict[str, Any] = json.loads(json.dumps(dict(settings)))  # tuples to lists, as the marker will have them
    if _is_taken(root):
        return _summary_of(root, wanted)
    root.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{root.name}.building-"
    _remove_abandoned(root.parent, prefix)
    building = root.parent / f"{prefix}{uuid.uuid4().hex[:12]}"
    building.mkdir()
    try:
        summary: dict[str, Any] = json.loads(json.dumps(dict(write(building))))
        marker = {"settings": wanted, "summary": summary, "files": _count_files(building)}
        (building / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")
        if not _rename(building, root):
            return _summary_of(root, wanted)
        return summary
    finally:
        shutil.rmtree(building, ignore_errors=True)  # gone already where it has become `root`


def _is_taken(root: Path) -> bool:
    """Whether something is at `root`; an empty folder counts as nothing."""
    return root.exists() and not (root.is_dir() and next(root.iterdir(), None) is None)


def _rename(building: Path, root: Path) -> bool:
    """Rename `building` to `root`; False where another process was faster."""
    with contextlib.suppress(OSError):  # an empty folder stands in the way on Windows; a full one stays, here as there
        root.rmdir()
    try:
        building.rename(root)
    except OSError:
        if not _is_taken(root):
            raise
        return False
    return True


def _summary_of(root: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of the data set at `root`, once it is shown to be the one wanted and complete."""
    marker_file = root / MARKER
    if not marker_file.is_file():
        raise FileExistsError(
            f"{root} exists and is not a data set made by mvdet (it has no {MARKER}); "
            "move it away or choose another folder"
        )
    try:
        marker = json.loads(marker_file.read_text(encoding="utf-8"))
        found, summary, files = marker["settings"], marker["summary"], marker["files"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise FileExistsError(f"{marker_file} is not readable ({error!r}); delete {root} to build it again") from error
    if found != wanted:
        raise FileExistsError(
            f"{root} holds a data set made with {found}, not with {dict(wanted)}; "
            "delete it to build it again, or choose another folder"
        )
    now = _count_files(root)
    missing = [
        f"{folder}: {now.get(folder, 0)} of {count}" for folder, count in files.items() if now.get(folder, 0) < count
    ]
    if missing:
        raise RuntimeError(f"{root} has lost files ({'; '.join(missing)}); delete it to build it again")
    return dict(summary)


def _count_files(root: Path) -> dict[str, int]:
    """Number of files directly in each folder under `root`, `root` itself left out, by relative POSIX path."""
    counts: dict[str, int] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and path.parent != root:
            folder = path.parent.relative_to(root).as_posix()
            counts[folder] = counts.get(folder, 0) + 1
    return counts


def _remove_abandoned(parent: Path, prefix: str) -> None:
    """Remove what a killed build left behind, long enough ago that no process can still be at it."""
    for path in parent.iterdir():
        if not path.name.startswith(prefix):
            continue
        with contextlib.suppress(FileNotFoundError):  # another process removes it at the same time
            if time.time() - path.stat().st_mtime > _ABANDONED_AFTER_S:
                shutil.rmtree(path, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard-link `target` to `source`; copy where hard links are not possible (another disk, FAT, no permission).

    Raises:
        FileNotFoundError: `source` or the folder of `target` does not exist.
        FileExistsError: `target` exists.
    """
    try:
        os.link(source, target)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError:
        shutil.copyfile(source, target)
