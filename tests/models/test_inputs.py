"""Detectors found by name, in checkpoints and in weights files."""

import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mvdet import create_model, export_state_dict
from mvdet.checkpoints.download import places
from mvdet.checkpoints.manifest import get_published
from mvdet.class_names import COCO_CATEGORY_IDS, COCO_CLASSES
from mvdet.models.inputs import find_detector


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    """A network whose weights lie where the published ones of `ssdlite_mobilevit_xxs` are downloaded to."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    ((_, path),) = places(get_published("ssdlite_mobilevit_xxs.apple_coco"))
    model = create_model("ssdlite_mobilevit_xxs", num_classes=81)
    path.parent.mkdir(parents=True)
    torch.save(export_state_dict(model, "cvnets", bgr=True), path)
    return model


@pytest.mark.parametrize("name", ["ssdlite_mobilevit_xxs", "ssdlite_mobilevit_xxs.apple_coco"])
def test_a_published_detector(published: torch.nn.Module, name: str) -> None:
    found = find_detector(name)
    assert (found.class_names, found.category_ids, found.size) == (COCO_CLASSES, COCO_CATEGORY_IDS, (320, 320))
    assert not found.model.training
    wanted = published.state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in found.model.state_dict().items())


def test_cocos_classes() -> None:
    ids = dict(zip(COCO_CLASSES, COCO_CATEGORY_IDS, strict=True))
    assert len(ids) == 80
    assert [ids[name] for name in ("person", "stop sign", "toilet", "toothbrush")] == [1, 13, 70, 90]


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_050"])
def test_a_weights_file_tells_its_variant(tmp_path: Path, name: str) -> None:
    model = create_model(f"ssdlite_{name}", num_classes=4)
    safetensors.torch.save_model(model, str(tmp_path / "w.safetensors"), force_contiguous=True)
    found = find_detector(tmp_path / "w.safetensors")
    assert (found.class_names, found.category_ids) == (("class1", "class2", "class3"), (1, 2, 3))
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        wanted = model.eval().head_outputs(image)["cls_logits"]
        assert torch.equal(found.model.head_outputs(image)["cls_logits"], wanted)


def test_eighty_classes_are_cocos(tmp_path: Path) -> None:
    torch.save(create_model("ssdlite_mobilevit_xxs", num_classes=81).state_dict(), tmp_path / "w.pt")
    assert find_detector(str(tmp_path / "w.pt")).class_names == COCO_CLASSES


def test_a_checkpoint_of_training(tmp_path: Path) -> None:
    model = create_model("ssdlite_mobilevit_xxs", num_classes=3, size=(64, 96))
    content = {
        "hyper_parameters": {
            "model": {"name": "ssdlite_mobilevit_xxs", "options": {"size": [64, 96]}, "size": [64, 96]},
            "class_names": ["cat", "dog"],
            "category_ids": [7, 3],
        },
        "state_dict": {f"model.{key}": value for key, value in model.state_dict().items()},
    }
    torch.save(content, tmp_path / "best.ckpt")
    found = find_detector(tmp_path / "best.ckpt")
    assert (found.class_names, found.category_ids, found.size) == (("cat", "dog"), (7, 3), (64, 96))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ssdlite_mobilevit_x", "no model 'ssdlite_mobilevit_x': no such file; did you mean ssdlite_mobilevit_xs"),
        ("runs/best.ckpt", "no model 'runs/best.ckpt': no such file; published: ssdlite_mobilevit_xxs.apple_coco"),
    ],
)
def test_neither_a_name_nor_a_file(name: str, message: str) -> None:
    with pytest.raises(FileNotFoundError, match=message):
        find_detector(name)


def test_a_name_of_another_task() -> None:
    with pytest.raises(ValueError, match=r"mobilevit_s\.apple_in1k: weights for classification, not for detection"):
        find_detector("mobilevit_s.apple_in1k")


def test_weights_of_another_task(tmp_path: Path) -> None:
    torch.save(create_model("mobilevit_xxs").state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt: weights for classification, not for detection"):
        find_detector(tmp_path / "w.pt")


def test_a_checkpoint_of_ultralytics_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "best.pt", "w") as archive:
        archive.writestr("best/data.pkl", b"\x80\x02cultralytics.nn.tasks\nDetectionModel\n.")
    with pytest.raises(ValueError, match=r"best\.pt: a checkpoint of ultralytics; `yolo predict"):
        find_detector(tmp_path / "best.pt")


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".safetensors"])
def test_other_files(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"notes{suffix}"
    file.write_text("nothing")
    with pytest.raises(ValueError, match=str(file)) as caught:
        find_detector(file)
    assert "\n" not in str(caught.value)
