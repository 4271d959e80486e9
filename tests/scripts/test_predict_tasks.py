"""`scripts/predict.py` on classifiers and segmentation networks."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mvdet.training.run import RunResult

Script = Callable[..., str]


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
