"""`scripts/weights.py`, as typed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mvdet import create_model
from mvdet.checkpoints import export_state_dict

SCRIPT = Path(__file__).parents[2] / "scripts" / "weights.py"


def run(*arguments: object) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_list() -> None:
    lines = run("list", "mobilevitv2_100").stdout.splitlines()
    assert lines[0].split() == ["name", "pixels", "classes", "data", "set", "metric", "from"]
    assert re.split(r"\s{2,}", lines[1])[1:] == ["256", "1000", "ImageNet-1k", "acc@1 78.09", "apple.com"]
    assert any("ssdlite_mobilevitv2_100.apple_coco" in line and "box mAP 26.47" in line for line in lines)
    assert run("list", "resnet").stderr == "error: no published weights have 'resnet' in their name\n"


def test_inspect_and_convert(tmp_path: Path) -> None:
    torch.save(export_state_dict(create_model("mobilevit_xxs"), "cvnets"), tmp_path / "w.pt")
    shown = run("inspect", tmp_path / "w.pt").stdout
    for expected in ("cvnets", "mobilevit_xxs", "classification", "1000", "BGR (a guess", "1,272,024"):
        assert expected in shown
    converted = run("convert", tmp_path / "w.pt", tmp_path / "w.safetensors", "--to", "timm")
    assert converted.stdout.endswith("w.safetensors: mobilevit_xxs, classification, cvnets's names to timm's\n")
    assert "RGB (a guess" in run("inspect", tmp_path / "w.safetensors").stdout


@pytest.mark.parametrize("arguments", [("inspect", SCRIPT), ("inspect", "nothing.pt"), ("convert", SCRIPT, "x.pt")])
def test_problems_are_one_line(arguments: tuple[object, ...]) -> None:
    result = run(*arguments)
    assert result.returncode == 1
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
