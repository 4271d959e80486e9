import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

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
