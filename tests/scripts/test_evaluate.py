import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mvdet import create_model
from mvdet.data.shapes.dataset import CLASSES, generate

pytest.importorskip("faster_coco_eval")
pytest.importorskip("matplotlib")

SCRIPT = Path(__file__).parents[2] / "scripts" / "evaluate.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """A json of one object, another of one detection that has it, and the picture."""
    truth: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "1.png", "width": 64, "height": 48}],
        "categories": [{"id": 5, "name": "cell"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 5, "bbox": [4, 4, 40, 40], "area": 1600, "iscrowd": 0}],
    }
    results = [{"image_id": 1, "category_id": 5, "bbox": [4, 4, 40, 40], "score": 0.5}]
    paths = {name: tmp_path / name for name in ("a.json", "r.json", "images")}
    paths["a.json"].write_text(json.dumps(truth))
    paths["r.json"].write_text(json.dumps(results))
    paths["images"].mkdir()
    Image.new("RGB", (64, 48)).save(paths["images"] / "1.png")
    return paths


def test_a_results_file_is_scored(inputs: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = run(
        *("--results", inputs["r.json"], "--annotations", inputs["a.json"], "--images", inputs["images"]),
        *("--backend", "pycocotools", "--output", output),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].split() == ["cell", "1", "100.0", "100.0"]
    assert json.loads((output / "metrics.json").read_text())["backend"] == "pycocotools"
    assert (output / "mistakes" / "index.html").is_file()


def test_a_problem_is_one_line(inputs: dict[str, Path], tmp_path: Path) -> None:
    inputs["r.json"].write_text('[{"image_id": 2, "category_id": 5, "bbox": [4, 4, 40, 40], "score": 0.5}]')
    done = run("--results", inputs["r.json"], "--annotations", inputs["a.json"], "--output", tmp_path / "out")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {inputs['r.json']}: entry [0]: unknown image_id 2: not in {inputs['a.json']}\n"
    assert not (tmp_path / "out").exists()


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    return generate(tmp_path / "shapes", num_train=1, num_val=3)


def save_detector(path: Path, class_names: tuple[str, ...]) -> Path:
    """An untrained detector, saved as training does."""
    model = create_model("ssdlite_mobilevit_xxs", num_classes=len(class_names) + 1)
    settings = {"name": "ssdlite_mobilevit_xxs", "options": {"size": [64, 96]}, "size": [64, 96]}
    known = {"model": settings, "class_names": class_names, "category_ids": list(range(1, len(class_names) + 1))}
    weights = {f"model.{key}": value for key, value in model.state_dict().items()}
    torch.save({"hyper_parameters": known, "state_dict": weights}, path)
    return path


def test_a_detector_on_voc_data(shapes: Path, tmp_path: Path) -> None:
    model = save_detector(tmp_path / "best.ckpt", CLASSES[::-1])
    done = run(
        *("--model", model, "--data-format", "voc", "--data-root", shapes / "VOC", "--split", "val"),
        *("--class-names", *CLASSES, "--workers", 0, "--device", "cpu", "--output", tmp_path / "out"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("3 images, ")
    assert done.stdout.splitlines()[-1].startswith("VOC AP at IoU 0.5: 11 points ")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["counts"]["detections"] == len(json.loads((tmp_path / "out" / "results.json").read_text())) > 0
    assert set(json.loads((tmp_path / "out" / "voc_metrics.json").read_text())["per_class"]) == set(CLASSES)
    assert (tmp_path / "out" / "mistakes" / "contact_sheet.png").is_file()


@pytest.mark.slow
def test_a_checkpoint_of_ultralytics_on_coco_data(shapes: Path, tmp_path: Path) -> None:
    tasks = pytest.importorskip("ultralytics.nn.tasks")
    model = tasks.DetectionModel(str(SCRIPT.parents[1] / "cfg" / "yolov5-mobilevit-xxs.yaml"), nc=5, verbose=False)
    model.names = dict(enumerate(CLASSES))
    model.args = {"imgsz": 64, "task": "detect"}
    torch.save({"model": model, "train_args": model.args}, tmp_path / "best.pt")
    done = run(
        *("--model", tmp_path / "best.pt", "--data-format", "coco", "--data-root", shapes),
        *("--device", "cpu", "--output", tmp_path / "out"),
    )
    assert done.returncode == 0, done.stderr
    assert "3 images, " in done.stdout
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["counts"]["images"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "best.ckpt"), "--model needs --data-format"),
        (
            ("--model", "best.ckpt", "--data-format", "bccd", "--iou-type", "segm"),
            "--iou-type does not go with --model",
        ),
        (("--results", "r.json", "--annotations", "a.json", "--size", 64, 64), "--size does not go with --results"),
    ],
)
def test_flags_that_do_not_go_together(
    arguments: tuple[Any, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = runpy.run_path(str(SCRIPT))["main"]  # in this process: starting another takes seconds
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments), "--output", str(tmp_path / "out")])
    with pytest.raises(SystemExit, match=f"^error: {message}$"):
        main()
