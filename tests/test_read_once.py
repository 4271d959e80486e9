"""A weights file is read once for one model, whoever asks for the model, and however the weights are named."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import torchvision
from file_server import serve
from ultralytics.nn.tasks import DetectionModel

import mvdet.torchvision
from mvdet import create_backbone, create_model
from mvdet.checkpoints import describe_weights, export_state_dict, manifest
from mvdet.checkpoints.download import cache_dir, fetch
from mvdet.checkpoints.manifest import get_published
from mvdet.models.trained import find_model
from mvdet.yolo import graft, register

register()

NAME = "mobilevit_xxs"
FULL_NAME = f"{NAME}.apple_in1k"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that torch and safetensors have been asked to read, in order."""
    seen: list[Path] = []

    def counting(original: Callable[..., Any]) -> Callable[..., Any]:
        def read(path: str | Path, *args: Any, **kwargs: Any) -> Any:
            seen.append(Path(path))
            return original(path, *args, **kwargs)

        return read

    monkeypatch.setattr(torch, "load", counting(torch.load))
    monkeypatch.setattr(safetensors.torch, "load_file", counting(safetensors.torch.load_file))
    return seen


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Apple's file, timm's folder, and a detector of ours."""
    folder = tmp_path_factory.mktemp("weights")
    model = create_model(NAME)
    torch.save(export_state_dict(model, "cvnets"), folder / "apple.pt")
    (folder / "timm").mkdir()
    safetensors.torch.save_file(export_state_dict(model, "timm"), folder / "timm" / "model.safetensors")
    (folder / "timm" / "config.json").write_text(f'{{"architecture": "{NAME}"}}')
    torch.save(create_model(f"ssdlite_{NAME}", num_classes=4).state_dict(), folder / "ssdlite.pt")
    return folder


@pytest.fixture
def cached(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The published file, downloaded by hand: its hash is not known yet."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = cache_dir() / f"{FULL_NAME}.pt"
    path.parent.mkdir(parents=True)
    shutil.copy(folder / "apple.pt", path)
    return path


@pytest.fixture
def served(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The published file lies on a server on loopback, and nowhere else."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with serve(folder) as server:
        monkeypatch.setitem(
            manifest.manifest(), FULL_NAME, replace(get_published(FULL_NAME), url=f"{server.url}/apple.pt")
        )
        yield


def yolo(name: str, weights: Path | str) -> DetectionModel:
    definition = graft("yolov5n.yaml", NAME)
    definition["backbone"][0][3] = [name, str(weights)]
    return DetectionModel(definition, verbose=False)


@pytest.mark.parametrize("file", ["apple.pt", "timm"])
@pytest.mark.parametrize(
    "build",
    [
        lambda path: create_backbone("auto", weights=path),
        lambda path: create_backbone(NAME, weights=path),
        lambda path: create_model("auto", weights=path),
        lambda path: create_model(NAME, weights=path),
        lambda path: create_model("ssdlite_auto", weights_backbone=path),
        lambda path: create_model(f"deeplabv3_{NAME}", weights_backbone=path),
        lambda path: torchvision.models.get_model(NAME, weights=path),
        lambda path: yolo("auto", path),
        lambda path: yolo(NAME, path),
        find_model,
        describe_weights,
    ],
)
def test_a_file_and_a_folder(build: Callable[[Path], object], file: str, folder: Path, reads: list[Path]) -> None:
    build(folder / file)
    assert len(reads) == 1, reads


def test_a_detectors_file(folder: Path, reads: list[Path]) -> None:
    find_model(folder / "ssdlite.pt")
    assert len(reads) == 1, reads


BY_NAME = [
    lambda: create_backbone(NAME, weights="apple"),
    lambda: create_model(NAME, weights="DEFAULT"),
    lambda: create_model("auto", weights=FULL_NAME),
    lambda: create_model(f"ssdlite_{NAME}", weights_backbone="apple"),
    lambda: torchvision.models.get_model(NAME, weights="DEFAULT"),
    lambda: torchvision.models.get_model(NAME, weights=mvdet.torchvision.MobileViT_XXS_Weights.DEFAULT),
    lambda: mvdet.torchvision.MobileViT_XXS_Weights.DEFAULT.get_state_dict(),
    lambda: yolo(NAME, "apple"),
    lambda: yolo("auto", FULL_NAME),
    lambda: find_model(NAME),
    lambda: find_model(FULL_NAME),
]


@pytest.mark.parametrize("build", BY_NAME)
def test_a_name(build: Callable[[], object], cached: Path, reads: list[Path]) -> None:
    build()
    assert reads == [cached]
    build()  # now its hash is recorded
    assert reads == [cached] * 2


@pytest.mark.parametrize("build", [BY_NAME[1], BY_NAME[-1]])
@pytest.mark.usefixtures("served")
def test_a_name_that_is_downloaded_first(build: Callable[[], object], reads: list[Path]) -> None:
    build()
    assert len(reads) == 1, reads


@pytest.mark.usefixtures("served")
def test_a_download_alone(reads: list[Path]) -> None:
    """Reading is what tells weights from a web page; later, the hash does."""
    fetch(get_published(FULL_NAME))
    assert len(reads) == 1, reads
    fetch(get_published(FULL_NAME))
    assert len(reads) == 1, reads


def test_a_definition_keeps_the_path_and_no_tensors(folder: Path) -> None:
    model = yolo("auto", folder / "apple.pt")
    assert model.yaml["backbone"][0][3] == ["auto", str(folder / "apple.pt")]
