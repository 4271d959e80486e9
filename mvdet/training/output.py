"""The folder of a run: chosen, and held by one run at a time."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from pytorch_lightning.utilities import rank_zero_only

_OUTPUT_VARIABLE = "MVDET_RUN_OUTPUT"
_LOCK = ".lock"
_PATIENCE_S = 6.0  # workers of a run that was killed notice it after five seconds, and may hold its lock until then


def rank() -> int:
    """The rank of this process, before Lightning's trainer exists; 0 where there is one process only."""
    return int(getattr(rank_zero_only, "rank", None) or 0)


@contextlib.contextmanager
def run_folder(output: Path | None, parent: Path) -> Iterator[Path]:
    """The folder of a run, which no other run gets meanwhile.

    The first process holds a lock of the operating system's in it, which ends with the process, however that ends. A
    folder that nothing was written to is removed again.

    Args:
        output: the folder; None takes train, train2, train3 ..., the first that is not there, as ultralytics numbers
            its runs. The processes that Lightning starts for further devices take the first one's.
        parent: of the folders that are numbered.

    Raises:
        FileExistsError: another run holds the folder.
        ValueError: without `output`, in a further process that was not started by Lightning.
    """
    if rank():
        yield output or _output_of_first_process()
        return
    folder = output or _new_folder(parent)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout:
        raise FileExistsError(
            f"another run that has not ended writes to {folder}; wait for its end, or choose another --output"
        ) from None
    try:
        yield folder
    finally:
        lock.release()
        if [path.name for path in folder.iterdir()] in ([], [_LOCK]):
            (folder / _LOCK).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # another run has begun in it
                folder.rmdir()


def _new_folder(parent: Path) -> Path:
    number = 1
    while True:
        folder = parent / f"train{number if number > 1 else ''}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            os.environ[_OUTPUT_VARIABLE] = str(folder)
            return folder


def _output_of_first_process() -> Path:
    if _OUTPUT_VARIABLE not in os.environ:
        raise ValueError("several processes that are not started by Lightning itself need the same --output")
    return Path(os.environ[_OUTPUT_VARIABLE])
