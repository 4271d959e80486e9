"""Multi-scale training under ultralytics: sizes, batches, samples, the switch, resumption, several processes."""

import csv
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from ultralytics import YOLO
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import dist as ultralytics_dist

from mvdet.data.samplers import MultiScaleBatchSampler
from mvdet.data.shapes.dataset import generate
from mvdet.yolo import MultiScaleDetectionTrainer
from mvdet.yolo.multi_scale import VARIABLE, SizeRange, requested_range
from mvdet.yolo.patches import _train

REPOSITORY = Path(__file__).parents[2]
MODEL = REPOSITORY / "cfg" / "yolov5-mobilevit-xxs.yaml"
IMAGES, BATCH, EPOCHS = 22, 4, 3
TRAINING = {"imgsz": 64, "batch": BATCH, "epochs": EPOCHS, "close_mosaic": 1, "plots": False, "device": "cpu"}
SIZES = {"base_size": (64, 64), "base_batch_size": BATCH, "min_size": (40, 40), "max_size": (80, 80), "seed": 0}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multi_scale")
    generate(folder / "shapes", num_train=IMAGES, num_val=6)
    text = (REPOSITORY / "cfg" / "datasets" / "shapes.yaml").read_text()
    (folder / "shapes.yaml").write_text(re.sub(r"(?m)^path:.*$", f"path: {folder / 'shapes'}", text))
    return folder / "shapes.yaml"


@pytest.fixture(autouse=True)
def _not_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


class Recorder(MultiScaleDetectionTrainer):
    """Writes down what the network is given; `workers` of the class, as ultralytics takes none on a CPU."""

    workers = 0
    steps: list[dict[str, Any]]  # of all epochs
    updates: int

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.args.workers = self.workers
        self.steps, self.updates = [], 0

    def preprocess_batch(self, batch: dict) -> dict:
        batch = super().preprocess_batch(batch)
        views = self.train_loader.dataset.views.values()
        self.steps.append(
            {
                "epoch": self.epoch,
                "plan": self.train_loader.sampler.plan.epoch,
                "size": tuple(batch["img"].shape[2:]),
                "files": [Path(file).name for file in batch["im_file"]],
                "mosaic": {view.transforms.transforms[0].transforms[0].p for view in views},
            }
        )
        return batch

    def optimizer_step(self) -> None:
        super().optimizer_step()
        self.updates += 1


def train(data: Path, folder: Path, recorder: type[Recorder] = Recorder, **arguments: Any) -> Any:
    model = YOLO(arguments.pop("model", MODEL))
    model.train(trainer=recorder, data=data, project=folder, name="run", **TRAINING | arguments)
    return model.trainer


def epochs_of(run: Path) -> list[int]:
    with (run / "results.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE, raising=False)
        return train(data, tmp_path_factory.mktemp("runs"))


def check_steps(trainer: Any) -> None:
    files = sorted(f"train_{i:05}.jpg" for i in range(IMAGES))
    sampler = MultiScaleBatchSampler(IMAGES, min_batch_size=2, **SIZES)
    plans = set()
    for epoch in range(EPOCHS):
        steps = [step for step in trainer.steps if step["epoch"] == epoch]
        assert len(steps) == len(trainer.train_loader)
        (plan,) = {step["plan"] for step in steps}
        sampler.set_epoch(plan)
        planned = [(batch[0][:2], [f"train_{i:05}.jpg" for _, _, i in batch]) for batch in sampler]
        assert [(step["size"], step["files"]) for step in steps] == planned
        assert sorted(file for step in steps for file in step["files"]) == files
        assert all(step["mosaic"] == {0.0 if epoch == EPOCHS - 1 else 1.0} for step in steps)
        plans.add(plan)
    assert len(plans) == EPOCHS
    assert len({step["size"] for step in trainer.steps}) == 3
    assert epochs_of(trainer.save_dir) == [1, 2, 3]


def test_steps_are_those_of_the_sampler(trained: Any) -> None:
    check_steps(trained)


def test_stock_models_and_workers(data: Path, tmp_path: Path) -> None:
    recorder = type("Recorder2", (Recorder,), {"workers": 2})
    trainer = train(data, tmp_path, recorder, model="yolov5n.yaml", cache="disk")
    assert trainer.train_loader.num_workers == 2
    check_steps(trainer)


def test_gradients_are_accumulated_over_the_nominal_number_of_images(data: Path, tmp_path: Path) -> None:
    trainer = train(data, tmp_path, nbs=16, epochs=1, warmup_epochs=0, close_mosaic=0, optimizer="SGD")
    pairs = trainer.train_loader.dataset.pairs
    assert [tuple(pair) for pair in pairs] == [(32, 32, 16), (64, 64, 4), (96, 96, 1)]
    assert trainer.accumulate == round(16 / 7)
    decays = {group["weight_decay"] for group in trainer.optimizer.param_groups}
    assert max(decays) == pytest.approx(trainer.args.weight_decay * 7 * 2 / 16)
    assert trainer.updates == len(trainer.steps) // 2


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", None),
        ("0", None),
        ("1", SizeRange()),
        ("160,320", SizeRange(160, 320)),
        ("160,320,3", SizeRange(160, 320, 3)),
    ],
)
def test_values_of_the_variable(value: str, expected: SizeRange | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    assert requested_range() == expected


@pytest.mark.parametrize("value", ["yes", "2", "320,160", "0,160", "160", "160,320,0", "160,320,5,6", "160-320", "1.5"])
def test_wrong_values_are_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ValueError, match=f"{VARIABLE} must be 0 .off., 1 .*, got '{value}'"):
        YOLO(MODEL).train(data="none.yaml")


def test_the_default_sizes_are_the_papers() -> None:
    pairs = SizeRange().pairs(256, 128, 32)
    assert [(pair.height, pair.batch_size) for pair in pairs] == [
        (160, 327),
        (192, 227),
        (256, 128),
        (288, 101),
        (320, 81),
    ]
    assert [pair.height for pair in SizeRange().pairs(640, 16, 32)] == [416, 512, 608, 640, 704, 800]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rect": True}, "rect=True cannot be combined"),
        ({"multi_scale": 0.5}, "multi_scale=0.5 cannot be combined"),
        ({"task": "segment"}, "for the task 'detect', got 'segment'"),
    ],
)
def test_what_does_not_go_together_is_refused(
    arguments: dict[str, Any], message: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        train(data, tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


def test_sizes_below_the_stride_are_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "16,64")
    with pytest.raises(ValueError, match=f"{VARIABLE}: no sizes from 16 to 64 with imgsz=64 and batch=4: min_size"):
        train(data, tmp_path)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("yolo11n-cls.yaml", "YOLO for the task 'classify', whose trainer is ClassificationTrainer"),
        ("yolo11n-seg.yaml", "YOLO for the task 'segment', whose trainer is SegmentationTrainer"),
    ],
)
def test_other_tasks_are_refused(model: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")
    with pytest.raises(ValueError, match=f"for the detection models of YOLO, got {name}"):
        YOLO(model).train(data="none.yaml")


def test_the_switch_decides_the_trainer(monkeypatch: pytest.MonkeyPatch) -> None:
    patched = _train(lambda model, trainer, **kwargs: (trainer, kwargs))
    model = YOLO("yolo11n.yaml")
    assert patched(model, epochs=1) == (None, {"epochs": 1})
    monkeypatch.setenv(VARIABLE, "1")
    assert patched(model, epochs=1) == (MultiScaleDetectionTrainer, {"epochs": 1})
    assert patched(model, trainer=DetectionTrainer) == (DetectionTrainer, {})
    monkeypatch.setenv(VARIABLE, "0")
    assert patched(model) == (None, {})


def test_a_resumed_run_goes_on_with_the_plan(trained: Any, data: Path, tmp_path: Path) -> None:
    class Interrupted(Recorder):
        def save_model(self) -> bool:
            super().save_model()
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(data, tmp_path, Interrupted)
    resumed = YOLO(tmp_path / "run" / "weights" / "last.pt")
    resumed.train(trainer=Recorder, resume=True)
    assert resumed.trainer.steps == [step for step in trained.steps if step["epoch"] > 0]
    assert epochs_of(tmp_path / "run") == [1, 2, 3]


def test_launched_processes_get_the_trainer(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ultralytics writes down for the processes of several GPUs; pickle stands in for its cloudpickle."""
    monkeypatch.setitem(sys.modules, "cloudpickle", pickle)
    monkeypatch.setattr("ultralytics.utils.checks.check_requirements", lambda *_: True)
    monkeypatch.setattr(ultralytics_dist, "USER_CONFIG_DIR", tmp_path)
    trainer = MultiScaleDetectionTrainer.__new__(MultiScaleDetectionTrainer)
    trainer.args, trainer.model, trainer.callbacks = trained.args, None, {}
    file = Path(ultralytics_dist.generate_ddp_file(trainer))
    state = torch.load(file.with_suffix(".pt"), weights_only=False)
    assert state["trainer"] is MultiScaleDetectionTrainer


@pytest.mark.slow
def test_the_yolo_command(data: Path, tmp_path: Path, yolo) -> None:
    arguments = [f"{name}={value}" for name, value in (TRAINING | {"epochs": 1}).items()]
    command = ["train", f"model={MODEL}", f"data={data}", f"project={tmp_path}", "name=run", *arguments]
    result = yolo(*command, cwd=tmp_path, **{VARIABLE: "64,96,2"})
    assert "multi-scale: images in a step 4 of 64, 1 of 96; " in re.sub(
        r"\x1b\[[\d;]*m", "", result.stdout + result.stderr
    )
    assert epochs_of(tmp_path / "run") == [1]


WORKER = """
import json, os, sys
from pathlib import Path
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from mvdet.yolo import MultiScaleDetectionTrainer

# What ultralytics does for CUDA alone
nn.parallel.DistributedDataParallel = lambda model, device_ids, **kwargs: DistributedDataParallel(model, **kwargs)

class Trainer(MultiScaleDetectionTrainer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.world_size, self.steps = 2, []

    def _setup_ddp(self):
        dist.init_process_group("gloo")

    def final_eval(self):  # asks CUDA for its device
        pass

    def preprocess_batch(self, batch):
        batch = super().preprocess_batch(batch)
        self.steps.append([batch["img"].shape[-1], [Path(file).name for file in batch["im_file"]]])
        return batch

trainer = Trainer(overrides=json.loads(sys.argv[1]))
trainer.train()
weights = [float(p.detach().double().abs().sum()) for p in trainer.model.parameters()]
Path(f"rank{dist.get_rank()}.json").write_text(json.dumps([trainer.steps, len(trainer.train_loader), sum(weights)]))
"""


@pytest.mark.slow
def test_two_processes(data: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "worker.py").write_text(WORKER)
    paths = {"model": str(MODEL), "data": str(data), "project": str(tmp_path), "name": "run"}
    overrides = json.dumps(TRAINING | paths | {"epochs": 1, "batch": 2 * BATCH})
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "worker.py", overrides]
    result = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=environment | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (steps, length, weights), other = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert other[1:] == [length, weights]
    assert len(steps) == len(other[0]) == length
    assert [(size, len(files)) for size, files in steps] == [(size, len(files)) for size, files in other[0]]
    files = sorted(file for _, batch in steps + other[0] for file in batch)
    assert files == sorted(f"train_{i:05}.jpg" for i in range(IMAGES))
    assert epochs_of(tmp_path / "run") == [1]
