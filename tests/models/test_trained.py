"""What a `--model` argument means, for every task."""

import zipfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from mvdet import create_model, export_state_dict
from mvdet.checkpoints.download import places
from mvdet.checkpoints.manifest import get_published
from mvdet.class_names import COCO_CATEGORY_IDS, COCO_CLASSES, VOC_SEGMENTATION_CLASSES
from mvdet.models.trained import (
    TrainedClassifier,
    TrainedSegmenter,
    find_model,
    load_checkpoint,
)
from mvdet.tasks import SEGMENTATION


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a network of one's own where published weights are downloaded to."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def put(name: str, model: torch.nn.Module, target: str) -> None:
        *_, path = places(get_published(name))[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(export_state_dict(model, target), path)

    return put


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevit_xxs.apple_in1k"])
def test_a_published_classifier(publish: Any, name: str) -> None:
    model = create_model("mobilevit_xxs")
    publish("mobilevit_xxs.apple_in1k", model, "cvnets")
    found = find_model(name)
    assert isinstance(found, TrainedClassifier)
    assert (found.size, found.resize, found.interpolation) == ((256, 256), 288, "bilinear")
    assert (len(found.class_names), found.class_names[0], found.class_names[-1]) == (1000, "tench", "toilet tissue")
    assert not found.has_names
    assert not found.model.training
    assert torch.equal(found.model.head.weight, model.head.weight)


@pytest.mark.parametrize("name", ["deeplabv3_mobilevit_xxs", "deeplabv3_mobilevit_xxs.apple_voc"])
def test_a_published_segmentation_network(publish: Any, name: str) -> None:
    model = create_model("deeplabv3_mobilevit_xxs")
    publish("deeplabv3_mobilevit_xxs.apple_voc", model, "cvnets")
    found = find_model(name)
    assert isinstance(found, TrainedSegmenter)
    assert (found.class_names, found.size, found.has_names) == (VOC_SEGMENTATION_CLASSES, (512, 512), True)
    assert torch.equal(found.model.head.classifier.weight, model.head.classifier.weight)


@pytest.mark.parametrize(
    ("target", "expected"),
    [("cvnets", (288, "bilinear")), ("timm", (284, "bicubic")), (None, (288, "bilinear"))],
)
def test_a_classifiers_file_is_fed_as_those_of_its_format(tmp_path: Path, target: str | None, expected: Any) -> None:
    model = create_model("mobilevit_xxs", num_classes=7)
    torch.save(export_state_dict(model, target) if target else model.state_dict(), tmp_path / "w.pt")
    found = find_model(tmp_path / "w.pt", task="classification")
    assert isinstance(found, TrainedClassifier)
    assert (found.resize, found.interpolation) == expected
    assert found.class_names == tuple(f"class{i}" for i in range(7))


@pytest.mark.parametrize("options", [{"aspp_channels": 32}, {"aux_head": False}, {}])
def test_a_segmentation_networks_file_tells_its_head(tmp_path: Path, options: dict[str, Any]) -> None:
    model = create_model("deeplabv3_mobilevitv2_050", num_classes=3, **options)
    torch.save(model.state_dict(), tmp_path / "w.pt")
    found = find_model(tmp_path / "w.pt")
    assert isinstance(found, TrainedSegmenter)
    assert (found.class_names, found.has_names) == (("class0", "class1", "class2"), False)
    assert found.model.state_dict().keys() == model.state_dict().keys()


def test_the_crop_keeps_its_share() -> None:
    classifier = TrainedClassifier(torch.nn.Identity(), ("a",), (256, 256), "bilinear", 288)
    assert [classifier.resize_for((side, 2 * side)) for side in (256, 128, 384)] == [288, 144, 432]
    assert classifier.resize_for((256, 256)) == 288


def save(path: Path, known: dict[str, Any], model: torch.nn.Module) -> Path:
    weights = {f"model.{key}": value for key, value in model.state_dict().items()}
    torch.save({"hyper_parameters": known, "state_dict": weights}, path)
    return path


def test_checkpoints_of_training(tmp_path: Path) -> None:
    model = create_model("mobilevit_xxs", num_classes=2)
    about = {"name": "mobilevit_xxs", "size": [64, 96], "interpolation": "bicubic"}
    found = find_model(save(tmp_path / "a.ckpt", {"model": about, "class_names": ["x", "y"]}, model))
    assert isinstance(found, TrainedClassifier)
    assert (found.class_names, found.size, found.interpolation) == (("x", "y"), (64, 96), "bicubic")
    assert (found.resize, found.has_names) == (None, True)

    options = {"aspp_channels": 16, "atrous_rates": [1, 2, 3], "output_stride": 8, "aux_head": None}
    model = create_model("deeplabv3_mobilevit_xxs", num_classes=2, **options)
    about = {"name": "deeplabv3_mobilevit_xxs", "size": [64, 96], "options": options}
    path = save(tmp_path / "b.ckpt", {"model": about, "class_names": ["x", "y"]}, model)
    segmenter = find_model(path)
    assert segmenter.task is SEGMENTATION
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(segmenter.model(image)["out"], model.eval()(image)["out"])
    with pytest.raises(ValueError, match=r"b\.ckpt: weights for segmentation, not for detection"):
        find_model(path, task="detection")


def test_what_is_no_model(tmp_path: Path) -> None:
    torch.save(create_model("mobilevit_xxs").backbone.state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt: weights of a backbone alone, a model has a head"):
        find_model(tmp_path / "w.pt")
    with pytest.raises(FileNotFoundError, match="did you mean deeplabv3_mobilevit_s") as caught:
        find_model("deeplabv3_mobilevit_a")
    assert "weights.py list" in str(caught.value)
    for others in ({}, {"hyper_parameters": Namespace(root=Path("x"))}, {"hyper_parameters": {"root": Path("x")}}):
        torch.save({"state_dict": {}, **others}, tmp_path / "x.ckpt")
        with pytest.raises(
            ValueError, match=r"x\.ckpt: not a checkpoint that one of mvdet's training scripts has saved"
        ):
            find_model(tmp_path / "x.ckpt")


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"checkpoint not found: .*x\.ckpt"):
        load_checkpoint(tmp_path / "x.ckpt")


def test_a_head_without_its_last_layer(tmp_path: Path) -> None:
    weights = dict(create_model("deeplabv3_mobilevit_xxs").state_dict())
    del weights["head.classifier.bias"]
    torch.save(weights, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt: the layer of its head that counts the classes is missing"):
        find_model(tmp_path / "w.pt")


@pytest.fixture
def published_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    """A network whose weights lie where the published ones of `ssdlite_mobilevit_xxs` are downloaded to."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    ((_, path),) = places(get_published("ssdlite_mobilevit_xxs.apple_coco"))
    model = create_model("ssdlite_mobilevit_xxs", num_classes=81)
    path.parent.mkdir(parents=True)
    torch.save(export_state_dict(model, "cvnets", bgr=True), path)
    return model


@pytest.mark.parametrize("name", ["ssdlite_mobilevit_xxs", "ssdlite_mobilevit_xxs.apple_coco"])
def test_a_published_detector(published_detector: torch.nn.Module, name: str) -> None:
    found = find_model(name, task="detection")
    assert (found.class_names, found.category_ids, found.size) == (COCO_CLASSES, COCO_CATEGORY_IDS, (320, 320))
    assert not found.model.training
    wanted = published_detector.state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in found.model.state_dict().items())


def test_cocos_classes() -> None:
    ids = dict(zip(COCO_CLASSES, COCO_CATEGORY_IDS, strict=True))
    assert len(ids) == 80
    assert [ids[name] for name in ("person", "stop sign", "toilet", "toothbrush")] == [1, 13, 70, 90]


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_050"])
def test_a_weights_file_tells_its_variant(tmp_path: Path, name: str) -> None:
    model = create_model(f"ssdlite_{name}", num_classes=4)
    safetensors.torch.save_model(model, str(tmp_path / "w.safetensors"), force_contiguous=True)
    found = find_model(tmp_path / "w.safetensors", task="detection")
    assert (found.class_names, found.category_ids) == (("class1", "class2", "class3"), (1, 2, 3))
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        wanted = model.eval().head_outputs(image)["cls_logits"]
        assert torch.equal(found.model.head_outputs(image)["cls_logits"], wanted)


def test_eighty_classes_are_cocos(tmp_path: Path) -> None:
    torch.save(create_model("ssdlite_mobilevit_xxs", num_classes=81).state_dict(), tmp_path / "w.pt")
    assert find_model(str(tmp_path / "w.pt"), task="detection").class_names == COCO_CLASSES


def test_a_detectors_checkpoint(tmp_path: Path) -> None:
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
    found = find_model(tmp_path / "best.ckpt", task="detection")
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
        find_model(name, task="detection")


def test_a_name_of_another_task() -> None:
    with pytest.raises(ValueError, match=r"mobilevit_s\.apple_in1k: weights for classification, not for detection"):
        find_model("mobilevit_s.apple_in1k", task="detection")


def test_weights_of_another_task(tmp_path: Path) -> None:
    torch.save(create_model("mobilevit_xxs").state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w\.pt: weights for classification, not for detection"):
        find_model(tmp_path / "w.pt", task="detection")


def test_a_checkpoint_of_ultralytics_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "best.pt", "w") as archive:
        archive.writestr("best/data.pkl", b"\x80\x02cultralytics.nn.tasks\nDetectionModel\n.")
    with pytest.raises(ValueError, match=r"best\.pt: a checkpoint of ultralytics; `yolo predict"):
        find_model(tmp_path / "best.pt", task="detection")


@pytest.mark.parametrize("suffix", [".ckpt", ".pt", ".safetensors"])
def test_other_files(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"notes{suffix}"
    file.write_text("nothing")
    with pytest.raises(ValueError, match=str(file)) as caught:
        find_model(file, task="detection")
    assert "\n" not in str(caught.value)
