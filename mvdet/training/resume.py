"""Which checkpoint a run goes on from."""

import logging
from pathlib import Path

from mvdet.checkpoints.reading import read_torch

logger = logging.getLogger(__name__)
LAST = "last.ckpt"


def find_checkpoint(folder: Path, resume: str | None) -> Path | None:
    """The checkpoint that `resume` means.

    Args:
        folder: where the run keeps its checkpoints.
        resume: None, "auto" for the newest readable one in `folder` (the run starts anew where there is none), or a
            file.

    Returns:
        A checkpoint that can be read, or None to start anew.

    Raises:
        FileNotFoundError: `resume` is a file that is not there.
        ValueError: `resume` is a file that cannot be read, or none in `folder` can be.
    """
    if resume is None:
        return None
    if resume != "auto":
        if not Path(resume).is_file():
            raise FileNotFoundError(f"checkpoint not found: {resume}")
        try:
            read_torch(Path(resume))
        except ValueError as error:
            raise ValueError(f"{resume}: {error}") from None
        return Path(resume)
    candidates = sorted(folder.glob("*.ckpt"), key=lambda path: path.stat().st_mtime, reverse=True)
    problems = []
    for path in candidates:
        try:
            read_torch(path)
        except ValueError as error:
            problems.append(f"{path.name}: {error}")
            logger.warning("%s: left aside: %s", path, error)
        else:
            return path
    if problems:
        raise ValueError(f"no checkpoint in {folder} can be read: {'; '.join(problems)}")
    logger.warning("nothing to resume in %s: the run starts anew", folder)
    return None
