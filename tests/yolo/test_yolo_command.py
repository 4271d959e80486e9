"""The whole life of a model under the stock command, on the CPU, in processes that never import mvdet by hand."""

import csv
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from ultralytics import YOLO

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
MODEL = REPOSITORY / "cfg" / "yolov5-mobilevit-xxs.yaml"
TRAINING = [f"model={MODEL}", "imgsz=64", "batch=4", "workers=0", "plots=False"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("life")


@pytest.fixture(scope="module")
def data(folder: Path, python) -> Path:
    """A small `shapes` set and its data set file."""
    code = f"from mvdet.data.shapes.dataset import generate; generate(r'{folder / 'shapes'}', num_train=16, num_val=8)"
    assert python("-c", code).returncode == 0
    text = (REPOSITORY / "cfg" / "datasets" / "shapes.yaml").read_text()
    (folder / "shapes.yaml").write_text(re.sub(r"(?m)^path:.*$", f"path: {folder / 'shapes'}", text))
    return folder / "shapes.yaml"


@pytest.fixture(scope="module")
def best(folder: Path, data: Path, yolo) -> Path:
    """A checkpoint, trained for two epochs by the `yolo` command."""
    yolo("train", *TRAINING, f"data={data}", "epochs=2", f"project={folder / 'runs'}", "name=first", cwd=folder)
    return folder / "runs" / "first" / "weights" / "best.pt"


def epochs_of(run: Path) -> list[int]:
    with (run / "results.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def test_train(best: Path) -> None:
    assert epochs_of(best.parents[1]) == [1, 2]
    with (best.parents[1] / "results.csv").open() as file:
        losses = [float(value) for row in csv.DictReader(file) for key, value in row.items() if "loss" in key]
    assert np.isfinite(losses).all()
    assert min(losses) > 0
    row, untrained = YOLO(best).model.model[0], YOLO(MODEL).model.model[0]
    assert (row.name, row.channels) == ("mobilevit_xxs", untrained.channels)


def test_resume_after_the_process_is_killed(folder: Path, data: Path, environment: dict[str, str], yolo) -> None:
    command = [Path(sys.executable).with_name("yolo"), "train", *TRAINING, f"data={data}", "epochs=5"]
    command += [f"project={folder / 'runs'}", "name=killed"]
    run = folder / "runs" / "killed"
    process = subprocess.Popen(
        list(map(str, command)), cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not (run / "results.csv").is_file() or len(epochs_of(run)) < 2 or not (run / "weights" / "last.pt").is_file():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = epochs_of(run)
    assert len(done) < 5
    yolo("train", "resume", f"model={run / 'weights' / 'last.pt'}", cwd=folder)
    assert epochs_of(run)[-1] == 5
    assert sorted(set(epochs_of(run))) == [1, 2, 3, 4, 5]


def test_val(best: Path, data: Path, folder: Path, yolo) -> None:
    result = yolo("val", f"model={best}", f"data={data}", "imgsz=64", "batch=4", "workers=0", "plots=False", cwd=folder)
    assert re.search(r"all\s+8\s+\d+", result.stdout + result.stderr)


def test_fine_tune_from_the_checkpoint(best: Path, data: Path, folder: Path, yolo) -> None:
    """All of it is taken over; `freeze=1` keeps the backbone as it is, and the rest is trained."""
    arguments = [f"model={best}", *TRAINING[1:], f"data={data}", "epochs=1", "freeze=1", "optimizer=SGD", "lr0=0.1"]
    result = yolo("train", *arguments, f"project={folder / 'runs'}", "name=tuned", cwd=folder)
    taken, of = re.search(r"Transferred (\d+)/(\d+) items", result.stdout + result.stderr).groups()
    assert taken == of
    before, after = (YOLO(file).model for file in (best, folder / "runs" / "tuned" / "weights" / "last.pt"))
    wanted = dict(before.named_parameters())
    changed = {name for name, value in after.named_parameters() if not torch.equal(value, wanted[name])}
    assert changed
    assert not any(name.startswith("model.0.") for name in changed)


def test_predict_draws_on_a_picture(best: Path, folder: Path, yolo) -> None:
    """Boxes are drawn: the saved picture differs from the one that came in."""
    from PIL import Image
    from ultralytics.utils import ASSETS

    yolo(
        "predict",
        f"model={best}",
        f"source={ASSETS / 'bus.jpg'}",
        "imgsz=320",
        "conf=0.001",
        f"project={folder / 'runs'}",
        cwd=folder,
    )
    saved = next((folder / "runs" / "predict").glob("bus.jpg"))
    before, after = (np.asarray(Image.open(p).convert("RGB"), dtype=int) for p in (ASSETS / "bus.jpg", saved))
    assert after.shape == before.shape
    assert (np.abs(after - before).max(-1) > 100).sum() > 1000


def test_safe_load_and_the_packaged_definition_from_any_directory(best: Path, tmp_path: Path, python) -> None:
    code = f"""
import torch
from ultralytics import YOLO
model = YOLO(r"{best}").model
print(type(model.model[0]).__name__, model(torch.zeros(1, 3, 64, 64))[0].shape)
print("packaged", YOLO("mvdet/cfg/yolo11-mobilevit-xxs.yaml").model.model[0].name)
"""
    result = python("-c", code, cwd=tmp_path, ULTRALYTICS_SAFE_LOAD="1")
    assert "MobileViT torch.Size([1, 9, 84])" in result.stdout, result.stderr
    assert "packaged mobilevit_xxs" in result.stdout, result.stderr


def test_safe_load_refuses_without_mvdet(best: Path, python) -> None:
    """Which shows that the load above was a restricted one."""
    result = python(
        "-c", f"from ultralytics import YOLO; YOLO(r'{best}')", ULTRALYTICS_SAFE_LOAD="1", MVDET_AUTOLOAD="0"
    )
    assert result.returncode != 0
    assert "mvdet.yolo.modules.MobileViT" in result.stderr + result.stdout


def test_dynamic_onnx(folder: Path, python) -> None:
    """Batch, height and width are dynamic, sizes with odd maps (96, 160) among those that were never traced."""
    import onnxruntime

    backbones = ("mobilevit_xxs", "mobilevitv2_050")
    code = f"""
import torch
from ultralytics import YOLO
from mvdet.yolo import graft, write_yaml

for backbone in {backbones}:
    torch.manual_seed(0)
    write_yaml(graft("yolov5n.yaml", backbone), backbone + ".yaml")
    model = YOLO(backbone + ".yaml")
    for p in model.model.parameters():  # fresh transformers end in zeros, which would hide them
        if not p.any():
            torch.nn.init.normal_(p, std=0.1)
    for m in model.model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(m.running_mean, -0.2, 0.2), torch.nn.init.uniform_(m.running_var, 0.5, 1.5)
    model.export(format="onnx", imgsz=128, dynamic=True, simplify=True)
    network = model.model.eval()
    for size in (1, 3, 64, 64), (3, 3, 96, 160), (2, 3, 224, 128):
        images = torch.rand(size)
        with torch.no_grad():
            torch.save((images, network(images)[0]), backbone + "_%d_%d_%d_%d.pt" % size)
"""
    cwd = folder / "onnx"
    cwd.mkdir()
    result = python("-c", code, cwd=cwd)
    assert result.returncode == 0, result.stdout + result.stderr
    for backbone in backbones:
        session = onnxruntime.InferenceSession(cwd / f"{backbone}.onnx", providers=["CPUExecutionProvider"])
        cases = sorted(cwd.glob(f"{backbone}_*.pt"))
        assert len(cases) == 3
        for case in cases:
            images, wanted = torch.load(case)
            (actual,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
            assert actual.shape == tuple(wanted.shape)
            assert np.abs(actual - wanted.numpy()).max() < 1e-3 * wanted.abs().max()


def run_torchscript(file: Path, images: torch.Tensor) -> np.ndarray:
    return torch.jit.load(file)(images).numpy()


def run_openvino(folder: Path, images: torch.Tensor) -> np.ndarray:
    import openvino

    # Full precision: on some processors OpenVINO would compute in bfloat16.
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(next(folder.glob("*.xml")), "CPU", settings)
    return model(images.numpy())[0]


@pytest.fixture(scope="module")
def exported(best: Path, folder: Path, python) -> list[list[float]]:
    """Exports the checkpoint twice; the best confidences that it, and each export, has on a picture."""
    code = f"""
import json
from ultralytics import YOLO
from ultralytics.utils import ASSETS
best = YOLO(r"{best}").export(format="torchscript", imgsz=64)
other = YOLO(r"{best}").export(format="openvino", imgsz=64, dynamic=True)
found = []
for file in r"{best}", best, other:
    (result,) = YOLO(file, task="detect").predict(ASSETS / "bus.jpg", imgsz=64, conf=1e-4, rect=False, verbose=False)
    found.append(result.boxes.conf[:5].tolist())
print(json.dumps(found))
"""
    result = python("-c", code, cwd=folder)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_exports_are_predicted_with(exported: list[list[float]]) -> None:
    wanted, *found = exported
    assert len(wanted) == 5
    for confidences in found:
        assert confidences == pytest.approx(wanted, rel=0.05)  # OpenVINO in bfloat16 on some processors


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize(
    ("name", "run", "sizes"),
    [
        ("best.torchscript", run_torchscript, [(1, 3, 64, 64)]),
        ("best_openvino_model", run_openvino, [(1, 3, 64, 64), (2, 3, 96, 160)]),
    ],
)
def test_exports_agree(name: str, run: Callable, sizes: list, best: Path) -> None:
    network = YOLO(best).model.eval()
    for size in sizes:
        images = torch.rand(size)
        with torch.no_grad():
            wanted = network(images)[0].numpy()
        assert np.abs(run(best.parent / name, images) - wanted).max() < 1e-3 * np.abs(wanted).max()


def test_two_processes_under_torch_distributed_run(folder: Path, environment: dict[str, str]) -> None:
    script = folder / "worker.py"
    script.write_text(
        f"""
import os
from pathlib import Path
import torch
import torch.distributed as dist
from ultralytics import YOLO

dist.init_process_group("gloo")
torch.manual_seed(dist.get_rank())
model = YOLO(r"{MODEL}").model
ddp = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=True)
ddp.train()
sum(x.mean() for x in ddp(torch.rand(2, 3, 64, 64))["feats"]).backward()
total = torch.stack([p.grad.abs().sum() for p in model.model[0].parameters() if p.grad is not None]).sum()
both = [torch.zeros_like(total) for _ in range(2)]
dist.all_gather(both, total)
assert torch.equal(both[0], both[1]) and total > 0
Path(f"rank{{dist.get_rank()}}").write_text(type(model.model[0]).__module__)
dist.barrier()
os._exit(0)  # one such process once aborted while its interpreter ended, perhaps for a thread of gloo's
"""
    )
    result = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)],
        cwd=folder,
        env=environment | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    # files, because what two processes print at once is mixed
    assert [(folder / f"rank{rank}").read_text() for rank in (0, 1)] == ["mvdet.yolo.modules"] * 2
