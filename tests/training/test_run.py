"""Whole runs of `scripts/train_ssdlite.py`, as small as they can be: they end, resume, stop and are loaded again."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mvdet.checkpoints import load_weights
from mvdet.data.shapes.dataset import generate
from mvdet.models import create_model
from mvdet.models.inputs import detect
from mvdet.models.trained import load_checkpoint
from mvdet.training.detection import SSDLiteRecipe, detection_task
from mvdet.training.run import RunResult, train
from mvdet.training.task import NonFiniteLossError

SCRIPT = Path(__file__).parents[2] / "scripts" / "train_ssdlite.py"


def train_detector(recipe: SSDLiteRecipe) -> RunResult:
    return train(recipe, detection_task, "ssdlite")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("data") / "shapes", num_train=8, num_val=5)


def settings(data: Path, output: Path, **changes: object) -> dict:
    return {
        "data_format": "coco",
        "data_root": data,
        "output": output,
        "backbone": "mobilevit_xxs",
        "size": (64, 64),
        "batch_size": 2,
        "epochs": 1,
        "workers": 0,
        "accelerator": "cpu",
    } | changes


def command(options: dict) -> list[str]:
    argv = [sys.executable, str(SCRIPT)]
    for name, value in options.items():
        argv += [f"--{name.replace('_', '-')}", *map(str, value if isinstance(value, tuple) else [value])]
    return argv


def run(options: dict) -> subprocess.CompletedProcess:
    return subprocess.run(command(options), capture_output=True, text=True, check=False)


def steps(output: Path) -> list[int]:
    """The steps that were logged, over all starts of a run."""
    logged = []
    for file in sorted(output.glob("logs/version_*/metrics.csv")):
        with file.open() as lines:
            logged += [int(row["step"]) for row in csv.DictReader(lines)]
    return logged


def test_a_run_leaves_what_it_says(data: Path, tmp_path: Path) -> None:
    result = train_detector(SSDLiteRecipe(**settings(data, tmp_path / "run", epochs=2)))
    assert result.metrics.keys() == {"AP", "AP50", "AP75", "AR100"}
    names = {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()}
    assert names == {"best.ckpt", "last.ckpt", "step=00000004.ckpt", "step=00000008.ckpt"}
    assert steps(tmp_path / "run")
    assert list((tmp_path / "run").glob("tensorboard/version_0/events*"))

    trained = load_checkpoint(result.best)
    assert trained.class_names == ("circle", "triangle", "square", "star", "cross")
    assert trained.size == (64, 64)
    found = detect(trained.model, torch.randint(0, 255, (2, 3, 64, 64), dtype=torch.uint8), [(100, 200), (64, 64)])
    assert {key for one in found for key in one} == {"boxes", "labels", "scores"}
    assert found[0]["boxes"][:, 2].max() <= 200
    assert found[0]["boxes"][:, 3].max() <= 100


def test_a_run_shorter_than_evaluate_every_has_a_best_checkpoint(data: Path, tmp_path: Path) -> None:
    result = train_detector(SSDLiteRecipe(**settings(data, tmp_path / "run", evaluate_every=8)))
    assert result.best == tmp_path / "run" / "checkpoints" / "best.ckpt"
    assert result.best.is_file()
    assert result.summary().startswith(f"AP {result.metrics['AP']:.3f}, ")
    assert result.summary().endswith(f"; best checkpoint {result.best}; results in {tmp_path / 'run'}")


def test_a_run_without_an_evaluation_says_so(tmp_path: Path) -> None:
    result = RunResult(tmp_path, None, tmp_path / "last.ckpt", {})
    said = f"no evaluation, so no best checkpoint; last checkpoint {tmp_path / 'last.ckpt'}; results in {tmp_path}"
    assert result.summary() == said


def test_saved_weights_are_the_averaged_ones_and_load_anywhere(data: Path, tmp_path: Path) -> None:
    result = train_detector(SSDLiteRecipe(**settings(data, tmp_path / "run", ema_momentum=0.01)))
    content = torch.load(result.best, weights_only=True)
    averaged = content["state_dict"]["model.head.pool_projection.weight"]
    assert not torch.equal(averaged, content["current_model_state"]["model.head.pool_projection.weight"])
    model = create_model("ssdlite_mobilevit_xxs", num_classes=6)
    load_weights(model, result.best)
    assert torch.equal(model.head.pool_projection.weight, averaged)


def test_an_output_folder_is_not_overwritten(data: Path, tmp_path: Path) -> None:
    recipe = SSDLiteRecipe(**settings(data, tmp_path / "run"))
    train_detector(recipe)
    with pytest.raises(FileExistsError, match="holds a run; --resume auto goes on with it"):
        train_detector(recipe)


def test_a_loss_that_is_not_finite_names_the_images(data: Path, tmp_path: Path) -> None:
    recipe = SSDLiteRecipe(**settings(data, tmp_path / "run", learning_rate=1e30, gradient_clip=0.0))
    with pytest.raises(NonFiniteLossError, match=r"step \d+: the loss is not finite: .*; image ids \[\d+, \d+\]"):
        train_detector(recipe)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 9}, "batch_size 9 is more than the 8 training images"),
        ({"data_root": Path("nowhere")}, "nowhere: no such folder"),
        (
            {"train_split": ("train", "val")},
            "trained and evaluated on one json file each, got .*_train.json, .*_val.json",
        ),
        ({"backbone": "mobilevit_m"}, "unknown model 'ssdlite_mobilevit_m'; did you mean"),
        ({"model": "torchvision/resnet18"}, "unknown model 'torchvision/resnet18'; available: torchvision/"),
        ({"resume": "nothing.ckpt"}, r"checkpoint not found: nothing.ckpt"),
    ],
)
def test_problems_are_named(data: Path, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        train_detector(SSDLiteRecipe(**settings(data, tmp_path / "run") | changes))


def test_on_the_command_line_a_problem_is_one_line(data: Path, tmp_path: Path) -> None:
    result = run(settings(data, tmp_path / "run", batch_size=9))
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "error: batch_size 9 is more than the 8 training images"
    assert "Traceback" not in result.stderr


@pytest.mark.slow
def test_torchvisions_detector_runs_in_the_same_harness(data: Path, tmp_path: Path) -> None:
    recipe = SSDLiteRecipe(**settings(data, tmp_path / "run", model="torchvision/ssdlite320_mobilenet_v3_large"))
    result = train_detector(recipe)
    assert type(load_checkpoint(result.best).model).__module__.startswith("torchvision.")


@pytest.mark.slow
def test_killed_and_resumed(data: Path, tmp_path: Path) -> None:
    """SIGKILL in the middle of an epoch, and last.ckpt cut short: the run goes on from the checkpoint before."""
    options = settings(data, tmp_path / "run", epochs=400, checkpoint_every=3, evaluate_every=400)
    process = subprocess.Popen(command(options), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoints = tmp_path / "run" / "checkpoints"
    wait_for(lambda: len(list(checkpoints.glob("step=*.ckpt"))) >= 2 and (checkpoints / "last.ckpt").is_file(), process)
    process.kill()
    process.wait()
    last = checkpoints / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-1000])
    newest = max(int(path.stem.removeprefix("step=")) for path in checkpoints.glob("step=*.ckpt"))
    resumed = run(options | {"resume": "auto", "epochs": newest // 4 + 1})
    assert resumed.returncode == 0, resumed.stderr
    assert "last.ckpt: left aside" in resumed.stderr
    assert torch.load(last, weights_only=True)["global_step"] >= newest


@pytest.mark.slow
def test_sigterm_saves_and_says_so(data: Path, tmp_path: Path) -> None:
    options = settings(data, tmp_path / "run", epochs=400, evaluate_every=400)
    process = subprocess.Popen(command(options), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    checkpoints = tmp_path / "run" / "checkpoints"
    wait_for(lambda: (checkpoints / "last.ckpt").is_file(), process)
    before = (checkpoints / "last.ckpt").stat().st_mtime_ns
    time.sleep(0.5)
    os.kill(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert "Stopped at step" in output, output
    assert "--resume auto goes on" in output
    assert (checkpoints / "last.ckpt").stat().st_mtime_ns > before
    assert process.returncode != 0


@pytest.mark.slow
def test_two_processes_do_what_one_does(data: Path, tmp_path: Path) -> None:
    """The same losses at the same global batch, and the same metrics: five images are not shared out evenly."""
    logged = {}
    for devices in (1, 2):
        output = tmp_path / f"run{devices}"
        # AdamW's first steps follow the sign of the gradient, and of rounding errors where that is zero: small steps
        slow = {"learning_rate": 1e-4, "warmup_learning_rate": 1e-5, "size": (160, 160)}
        result = run(settings(data, output, devices=devices, batch_size=4, epochs=2, **slow))
        assert result.returncode == 0, result.stderr
        with (output / "logs" / "version_0" / "metrics.csv").open() as lines:
            rows = list(csv.DictReader(lines))
        logged[devices] = {
            key: [float(row[key]) for row in rows if row.get(key)] for key in ("loss", "AP", "AP50", "AR100")
        }
    assert len(logged[1]["loss"]) == 4
    assert logged[2]["loss"] == pytest.approx(logged[1]["loss"], rel=1e-3)
    for key in ("AP", "AP50", "AR100"):
        assert logged[2][key] == pytest.approx(logged[1][key], abs=1e-4)


def wait_for(condition, process: subprocess.Popen, seconds: float = 120.0) -> None:
    start = time.monotonic()
    while not condition():
        assert process.poll() is None, "the run ended early"
        assert time.monotonic() - start < seconds, "nothing happened"
        time.sleep(0.05)
