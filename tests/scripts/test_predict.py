"""`scripts/predict.py`, as typed."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mvdet import create_model
from mvdet.data.shapes.dataset import generate
from mvdet.training.run import RunResult

Script = Callable[..., str]

SCRIPT = Path(__file__).parents[2] / "scripts" / "predict.py"


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """An untrained detector of two classes, class1 and class2."""
    torch.save(create_model("ssdlite_mobilevit_xxs", num_classes=3).state_dict(), tmp_path / "w.pt")
    return tmp_path / "w.pt"


def test_a_folder_with_a_broken_picture(weights: Path, tmp_path: Path) -> None:
    pictures = generate(tmp_path / "shapes", num_train=1, num_val=2) / "images"
    (pictures / "broken.jpg").write_bytes(b"nothing")
    options = ("--score-threshold", 0.05, "--size", 64, 96, "--device", "cpu", "--batch-size", 2)
    done = run("--model", weights, pictures, "--output", tmp_path / "out", *options)
    assert done.returncode == 1
    broken, count = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert broken.startswith(
        f"error: {pictures / 'broken.jpg'}: not an image of a kind that is decoded here: JPEG, PNG, "
    )
    assert count == "error: 1 files could not be read, or not to their end"
    content = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert content["class_names"] == ["class1", "class2"]
    assert [entry["output"] for entry in content["sources"]] == [
        "train/train_00000.jpg", "val/val_00000.jpg", "val/val_00001.jpg",
    ]  # fmt: skip
    count = sum(len(entry["objects"]) for entry in content["sources"])
    assert count > 0
    assert done.stdout == f"{count} objects in 3 files; see {tmp_path / 'out' / 'detections.json'}\n"


def test_a_problem_is_one_line(tmp_path: Path) -> None:
    done = run("--model", "ssdlite_mobilevit_z", "a.jpg", "--output", tmp_path / "out")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no model 'ssdlite_mobilevit_z': no such file; did you mean ssdlite_mobilevit")
    assert done.stderr.count("\n") == 1


def test_a_classifier(script: Script, classifier_run: RunResult, image_folders: Path, tmp_path: Path) -> None:
    source, output = image_folders / "val" / "star", tmp_path / "out"
    printed = script("predict", "--model", classifier_run.best, source, "--output", output, "--device", "cpu")
    count = len(list(source.iterdir()))
    assert printed == f"{count} files; see {output / 'classifications.json'}\n"
    found = json.loads((output / "classifications.json").read_text())
    assert found["class_names"] == ["circle", "cross", "square", "star", "triangle"]
    assert [len(entry["classes"]) for entry in found["sources"]] == [5] * count
    assert all((output / entry["output"]).is_file() for entry in found["sources"])


def test_a_segmentation_network(script: Script, segmenter_run: RunResult, mask_folder: Path, tmp_path: Path) -> None:
    source, output = mask_folder / "JPEGImages" / "val_00000.jpg", tmp_path / "out"
    printed = script("predict", "--model", segmenter_run.best, source, "--output", output, "--sliding-window")
    assert printed == f"1 files; see {output / 'segmentations.json'}\n"
    assert (output / "val_00000.jpg").is_file()
    assert (output / "masks" / "val_00000.png").is_file()
    with pytest.raises(SystemExit, match="score_threshold is for detectors, the model is a segmentation network"):
        script("predict", "--model", segmenter_run.best, source, "--output", output, "--score-threshold", 0.5)
