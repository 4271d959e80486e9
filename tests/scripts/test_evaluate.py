import dataclasses
import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from mvdet.data.shapes.dataset import CLASSES, generate
from mvdet.training.evaluate import ModelEvaluation, ResultsEvaluation

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


def test_flags_that_do_not_go_together(script: Callable[..., str], tmp_path: Path) -> None:
    flags = ("--data-format", "bccd", "--iou-type", "segm", "--output", tmp_path / "out")
    with pytest.raises(SystemExit, match=r"^error: --iou-type does not go with --model$"):
        script("evaluate", "--model", "best.ckpt", *flags)


def test_every_flag_is_an_argument() -> None:
    """What the parser gives is what `mvdet.training.evaluate.evaluate` takes; flags that were not given are None."""
    parser = runpy.run_path(str(SCRIPT))["_parser"]()
    known = {field.name for kind in (ModelEvaluation, ResultsEvaluation) for field in dataclasses.fields(kind)}
    given = vars(parser.parse_args(["--model", "m", "--output", "o"]))
    assert given.keys() == known
    assert {name for name, value in given.items() if value is not None} == {"model", "output"}
