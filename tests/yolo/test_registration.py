"""What registration does beside its patches: classes that checkpoints may hold, and threads."""

import lzma
import os
import pickletools
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from pkgutil import resolve_name

import pytest
import torch
from torch import Tensor, nn
from ultralytics.nn.tasks import torch_safe_load
from ultralytics.utils import torch_utils

from mvdet.backbones import layers
from mvdet.yolo import register, registration
from mvdet.yolo.registration import CHECKPOINT_PATHS, SWITCH, apply_threads

OLD_CHECKPOINT = Path(__file__).parents[1] / "data" / "checkpoints" / "mvdet-0.1.0.pt.xz"
PROGRAM = """
import torch
from ultralytics import YOLO
from ultralytics.utils.torch_utils import select_device
YOLO("mvdet/cfg/yolov5-mobilevit-xxs.yaml")
select_device("cpu")
print("threads", torch.get_num_threads())
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def old_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One object of every class that a checkpoint may hold, saved by version 0.1.0 (see `make.py` beside it)."""
    path = tmp_path_factory.mktemp("old") / "mvdet-0.1.0.pt"
    path.write_bytes(lzma.decompress(OLD_CHECKPOINT.read_bytes()))
    return path


def test_the_old_checkpoint_holds_every_class(old_checkpoint: Path) -> None:
    with zipfile.ZipFile(old_checkpoint) as archive:
        pickled = archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))
    named = {str(value).replace(" ", ".") for op, value, _ in pickletools.genops(pickled) if op.name == "GLOBAL"}
    later = {"mvdet.backbones.cpu.CPUInvertedResidual"}  # of fused networks, since the version after that file's
    assert {name for name in named if name.startswith("mvdet.")} == set(CHECKPOINT_PATHS) - later


@pytest.mark.parametrize("safe_only", [True, False])
def test_the_old_checkpoint_loads_and_gives_its_numbers(
    old_checkpoint: Path, safe_only: bool, difference: Callable[[Tensor, Tensor], float]
) -> None:
    register()
    checkpoint, _ = torch_safe_load(old_checkpoint, safe_only=safe_only)
    model, wanted = checkpoint["model"], checkpoint["outputs"]
    images = torch.linspace(0, 1, 3 * 64 * 32).view(1, 3, 64, 32)
    with torch.no_grad():
        maps = model["v1"](images)
        pairs = [
            *zip(maps, wanted["v1"], strict=True),
            *zip(model["v2"](images), wanted["v2"], strict=True),
            (model["ssdlite"](maps)[0], wanted["ssdlite"]),
            (model["deeplabv3"](maps)[..., ::8, ::8], wanted["deeplabv3"]),
        ]
    assert all(difference(found, expected) < 1e-5 for found, expected in pairs)


@pytest.fixture
def _nothing_allowed() -> Iterator[None]:
    """Forgets what is allowed in checkpoints, and afterwards what the test has allowed."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


@pytest.mark.usefixtures("_nothing_allowed")
def test_a_class_that_made_way_for_another_still_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The allow-list goes by the path in the file: the class that has the name today may have another of its own."""
    path = "mvdet.backbones.layers.Conv2d"
    old = type("Conv2d", (nn.Conv2d,), {"__module__": layers.__name__, "__qualname__": "Conv2d"})
    monkeypatch.setattr(layers, "Conv2d", old)
    layer = old(2, 3, 1)
    torch.save({"model": layer}, tmp_path / "old.pt")
    monkeypatch.setattr(layers, "Conv2d", nn.Conv2d)
    classes = [nn.Conv2d if one == path else resolve_name(one) for one in CHECKPOINT_PATHS]
    monkeypatch.setattr(registration, "CHECKPOINT_CLASSES", tuple(classes))
    register()
    checkpoint, _ = torch_safe_load(tmp_path / "old.pt", safe_only=True)
    assert type(checkpoint["model"]) is nn.Conv2d
    assert torch.equal(checkpoint["model"].weight, layer.weight)


def test_threads_are_those_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_utils, "NUM_THREADS", 5)
    monkeypatch.setenv(SWITCH, "")
    apply_threads()
    assert torch_utils.NUM_THREADS == 5
    monkeypatch.setenv(SWITCH, "3")
    apply_threads()
    assert torch_utils.NUM_THREADS == 3


@pytest.mark.parametrize("value", ["two", "0", "-1", "1.5"])
def test_what_is_no_number_of_threads_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_utils, "NUM_THREADS", 5)
    monkeypatch.setenv(SWITCH, value)
    with pytest.raises(
        ValueError, match=f"MVDET_NUM_THREADS must be a whole number of threads, 1 or more, got '{value}'"
    ):
        apply_threads()
    assert torch_utils.NUM_THREADS == 5


@pytest.mark.slow
def test_ultralytics_runs_on_as_many_threads(python: Run) -> None:
    done = python("-c", PROGRAM, MVDET_NUM_THREADS="3")
    assert done.stdout.splitlines()[-1] == "threads 3", done.stderr


@pytest.mark.slow
def test_without_it_ultralytics_decides_and_a_wrong_value_changes_nothing_else(python: Run) -> None:
    done = python("-c", PROGRAM, MVDET_NUM_THREADS="two")
    assert done.stdout.splitlines()[-1] == f"threads {min(8, max(1, (os.cpu_count() or 1) - 1))}", done.stderr
    assert "MVDET_NUM_THREADS must be a whole number of threads, 1 or more, got 'two'" in done.stderr
