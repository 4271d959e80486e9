"""Mistakes in a model definition: each ends in one line that names the row."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from ultralytics import YOLO
from ultralytics.nn.tasks import DetectionModel

from mvdet import create_backbone, create_model
from mvdet.checkpoints import export_state_dict
from mvdet.checkpoints.download import cache_dir
from mvdet.yolo import graft, register, write_yaml

register()

DEFINITION = graft("yolov5n.yaml", "mobilevit_xxs")


def definition_with(row: int, content: list[Any]) -> dict[str, Any]:
    """yolov5n on mobilevit_xxs with one backbone row replaced."""
    definition = deepcopy(DEFINITION)
    definition["backbone"][row] = content
    return definition


@pytest.mark.parametrize(
    ("row", "content", "message"),
    [
        (0, ["mobilevit_xx"], "unknown backbone 'mobilevit_xx'; did you mean mobilevit_xxs"),
        (0, ["resnet50"], "unknown backbone 'resnet50'; available: mobilevit_xxs"),
        (0, [], "arguments must be [name, weights or null, options], got []"),
        (0, [8], "arguments must be [name, weights or null, options], got [8]"),
        (0, ["mobilevit_xxs", None, {}, 1], "arguments must be [name, weights or null, options]"),
        (0, ["mobilevit_xxs", "nowhere.pt"], "weights file not found: nowhere.pt"),
        (0, ["mobilevit_xxs", 3], "weights must be a published name, a path or null, got 3"),
        (0, ["mobilevit_xxs", ""], "weights must be a published name, a path or null, got ''"),
        (0, ["mobilevit_xxs", None, {"expand_output": "False"}], "expand_output must be true or false, got 'False'"),
        (0, ["mobilevit_xxs", None, 3], "options must be a map with keys out of out_strides"),
        (0, ["mobilevit_xxs", None, {"out_stride": [8]}], "unknown option 'out_stride'; did you mean out_strides"),
        (0, ["mobilevit_xxs", None, {"out_strides": [8, 24]}], "subset of (2, 4, 8, 16, 32), got (8, 24)"),
        (0, ["mobilevit_xxs", None, {"out_strides": "8"}], "subset of (2, 4, 8, 16, 32), got ('8',)"),
        (0, ["mobilevit_xxs", None, {"output_stride": 4}], "output_stride must be one of (8, 16, 32), got 4"),
        (0, ["mobilevit_xxs", None, {"in_channels": 1}], "in_channels is 1, but the images have 3 channels"),
    ],
)
def test_backbone_row(row: int, content: list[Any], message: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        DetectionModel(definition_with(row, [-1, 1, "MobileViT", content]), verbose=False)
    text = str(error.value)
    assert message in text
    assert f"yolov5n.yaml: row {row} [-1, 1, MobileViT, [" in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            [0, 1, "Index", [96, 1]],
            "96 channels, but map 1 of mobilevit_xxs has 64 (0: 48 at stride 8, 1: 64 at stride 16",
        ),
        (
            [0, 1, "Index", [64, 3]],
            "no map 3; mobilevit_xxs has 0: 48 at stride 8, 1: 64 at stride 16, 2: 80 at stride 32",
        ),
        ([0, 1, "Index", [64]], "arguments must be [channels, index]"),
        ([0, 1, "Index", ["64", 1]], "arguments must be [channels, index]"),
        ([-2, 1, "Index", [80, 1]], "80 channels, but map 1"),
        ([0, 1, "Index", [48, False]], "arguments must be [channels, index]"),
        ([0, 2, "Index", [48, 0]], "an Index row reads one row, once, got from 0 and repeats 2"),
        ([[0], 1, "Index", [48, 0]], "an Index row reads one row, once, got from [0] and repeats 1"),
        ([0, 1, "Index", 48], "a row is [from, repeats, module, [arguments]]"),
        (["0", 1, "Index", [48, 0]], "a row is [from, repeats, module, [arguments]]"),
        ([0, 1], "a row is [from, repeats, module, [arguments]]"),
        ([0, 1, "Conv", [64, 1, 1]], "reads a MobileViT row, whose output is a list"),
    ],
)
def test_row_that_reads_the_backbone(content: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=r"yolov5n\.yaml: row 2 ") as error:
        DetectionModel(definition_with(2, content), verbose=False)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_repeats_are_refused() -> None:
    with pytest.raises(ValueError, match=r"row 0 \[-1, 2, MobileViT, .*repeats must be 1, got 2"):
        DetectionModel(definition_with(0, [-1, 2, "MobileViT", ["mobilevit_xxs"]]), verbose=False)


def test_weights_of_another_model(tmp_path: Path) -> None:
    torch.save(create_backbone("mobilevit_xs").state_dict(), tmp_path / "xs.pt")
    row = [-1, 1, "MobileViT", ["mobilevit_xxs", str(tmp_path / "xs.pt")]]
    with pytest.raises(ValueError, match=r"yolov5n.yaml: row 0 .*xs.pt: the weights are mobilevit_xs's"):
        DetectionModel(definition_with(0, row), verbose=False)


def test_weights_from_an_absolute_path_are_loaded(tmp_path: Path) -> None:
    """A path is no Python literal: ultralytics' own evaluation of string arguments must not see it."""
    source = create_backbone("mobilevit_xxs").state_dict()
    torch.save(source, tmp_path / "xxs.pt")
    row = [-1, 1, "MobileViT", ["mobilevit_xxs", str(tmp_path / "xxs.pt")]]
    model = DetectionModel(definition_with(0, row), verbose=False)
    assert all(torch.equal(v, model.model[0].backbone.state_dict()[k]) for k, v in source.items())


def test_mistakes_in_a_file_name_the_file(tmp_path: Path) -> None:
    write_yaml(definition_with(1, [0, 1, "Index", [100, 0]]), tmp_path / "mine.yaml")
    with pytest.raises(ValueError, match=r"mine.yaml: row 1 \[0, 1, Index, \[100, 0\]\]: 100 channels, but map 0"):
        YOLO(tmp_path / "mine.yaml")


@pytest.mark.parametrize("channels", [1, 4])
def test_other_image_channels_reach_the_backbone(channels: int) -> None:
    model = DetectionModel(deepcopy(DEFINITION), ch=channels, verbose=False)
    assert model.model[0].backbone.in_channels == channels


def test_a_backbone_after_a_stem_needs_its_channels() -> None:
    definition = deepcopy(DEFINITION)
    definition["backbone"][0:0] = [[-1, 1, "Conv", [32, 3, 1]]]
    with pytest.raises(ValueError, match=r"row 1 .*needs its input's channels, as in \{in_channels: 64\}"):
        DetectionModel(definition, verbose=False)


def test_none_means_null() -> None:
    """YAML reads `None` as a string; ultralytics' own definitions write it."""
    definition = definition_with(0, [-1, 1, "MobileViT", ["mobilevit_xxs", "None", "None"]])
    assert DetectionModel(definition, verbose=False).model[0].name == "mobilevit_xxs"


def test_options_reach_the_backbone() -> None:
    row = [-1, 1, "MobileViT", ["mobilevit_xxs", None, {"expand_output": True}]]
    definition = definition_with(0, row)
    definition["backbone"][3] = [0, 1, "Index", [320, 2]]
    model = DetectionModel(definition, verbose=False)
    assert model.model[0].channels == (48, 64, 320)
    assert model.stride.tolist() == [8, 16, 32]


@pytest.mark.parametrize("name", ["mobilevit_xxs", "auto"])
@pytest.mark.parametrize("kind", ["name", "file", "folder"])
def test_weights_by_name_file_and_folder(name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    source = create_model("mobilevit_xxs")
    files = {
        "name": cache_dir() / "mobilevit_xxs.timm_in1k.safetensors",
        "file": tmp_path / "file.safetensors",
        "folder": tmp_path / "folder" / "model.safetensors",
    }
    path = files[kind]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(export_state_dict(source, "timm"), path)
    (path.parent / "config.json").write_text('{"architecture": "mobilevit_xxs"}')
    if (name, kind) == ("auto", "name"):
        name = "mobilevit_xxs"
    weights = {"name": "timm", "file": str(path), "folder": str(path.parent)}[kind]
    model = DetectionModel(definition_with(0, [-1, 1, "MobileViT", [name, weights]]), verbose=False)
    stem = model.model[0].backbone.stem.conv.weight
    assert model.model[0].name == "mobilevit_xxs"
    assert torch.equal(stem, source.backbone.stem.conv.weight)


def test_published_weights_out_of_reach_name_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    row = [-1, 1, "MobileViT", ["mobilevit_xxs", "apple"]]
    with pytest.raises(ConnectionError, match=r"yolov5n.yaml: row 0 .*: cannot download mobilevit_xxs.apple_in1k"):
        DetectionModel(definition_with(0, row), verbose=False)
