import os
from pathlib import Path

import pytest
import torch

from mvdet.training.resume import find_checkpoint


def save(folder: Path, name: str, age: int) -> Path:
    path = folder / name
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, path)
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


def truncate(path: Path) -> None:
    times = path.stat().st_atime, path.stat().st_mtime
    path.write_bytes(path.read_bytes()[:-500])
    os.utime(path, times)


def test_auto_takes_the_newest_that_can_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    older, newer, last = (save(tmp_path, name, age) for name, age in (("a.ckpt", 3), ("b.ckpt", 2), ("last.ckpt", 1)))
    assert find_checkpoint(tmp_path, "auto") == last
    truncate(last)
    assert find_checkpoint(tmp_path, "auto") == newer
    assert "last.ckpt: left aside" in caplog.text
    truncate(newer)
    assert find_checkpoint(tmp_path, "auto") == older
    truncate(older)
    with pytest.raises(ValueError, match=r"no checkpoint in .* can be read: last.ckpt: .*; b.ckpt: .*; a.ckpt: "):
        find_checkpoint(tmp_path, "auto")


def test_nothing_to_resume(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert find_checkpoint(tmp_path, None) is None
    assert find_checkpoint(tmp_path / "nowhere", "auto") is None
    assert "the run starts anew" in caplog.text


def test_a_file(tmp_path: Path) -> None:
    path = save(tmp_path, "a.ckpt", 0)
    assert find_checkpoint(tmp_path / "elsewhere", str(path)) == path
    truncate(path)
    with pytest.raises(ValueError, match=r"a.ckpt: .*truncated"):
        find_checkpoint(tmp_path, str(path))
    with pytest.raises(FileNotFoundError, match=r"checkpoint not found: b.ckpt"):
        find_checkpoint(tmp_path, "b.ckpt")
