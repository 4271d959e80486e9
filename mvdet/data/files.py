"""Put a file in a second place without storing it twice where the file system allows that."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


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
