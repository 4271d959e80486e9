"""The YAML module inside ultralytics' models: fusing, copies, checkpoints, numbers."""

from collections.abc import Callable
from copy import copy, deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from ultralytics.nn.tasks import DetectionModel, torch_safe_load

from mvdet import create_backbone
from mvdet.yolo import graft, register
from mvdet.yolo.registration import CHECKPOINT_CLASSES

register()

BACKBONES = ["mobilevit_xxs", "mobilevitv2_050"]


def model_on(backbone: str, weights: Path | None = None) -> DetectionModel:
    return DetectionModel(graft("yolov5n.yaml", backbone, weights=weights and str(weights)), verbose=False).eval()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_fuse_folds_ours_and_theirs(backbone: str, randomise: Callable[[nn.Module], None]) -> None:
    model = model_on(backbone)
    randomise(model.model[0])
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        wanted = model(images)[0]
        actual = model.fuse(verbose=False)(images)[0]
    assert not any(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert (actual - wanted).abs().max() < 1e-4 * wanted.abs().max()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_pretrained_numbers_survive_ultralytics_defaults(
    backbone: str, tmp_path: Path, difference: Callable[[Tensor, Tensor], float], randomise: Callable[[nn.Module], None]
) -> None:
    """ultralytics rewrites eps and momentum of every `nn.BatchNorm2d`: the backbone's must stay as they are."""
    alone = create_backbone(backbone).eval()
    randomise(alone)
    for layer in alone.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_var, 1e-3, 2e-3)  # small enough for eps to matter
            nn.init.constant_(layer.weight, 0.03)
    torch.save(alone.state_dict(), tmp_path / "w.pt")
    model = model_on(backbone, tmp_path / "w.pt")
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert all(difference(x, y) < 1e-5 for x, y in zip(model.model[0](images), alone(images), strict=True))


def test_a_copy_no_longer_asks_for_the_weights_file(tmp_path: Path) -> None:
    torch.save(create_backbone("mobilevit_xxs").state_dict(), tmp_path / "w.pt")
    model = model_on("mobilevit_xxs", tmp_path / "w.pt")
    (tmp_path / "w.pt").unlink()
    copied = deepcopy(model)
    assert model.yaml["backbone"][0][3][1] == str(tmp_path / "w.pt")
    DetectionModel(copied.yaml, verbose=False).load(copied, verbose=False)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_checkpoints_hold_only_classes_that_are_allowed(
    backbone: str, tmp_path: Path, difference: Callable[[Tensor, Tensor], float]
) -> None:
    model = model_on(backbone)
    torch.save({"model": model}, tmp_path / "w.pt")
    checkpoint, _ = torch_safe_load(tmp_path / "w.pt", safe_only=True)
    ours = {type(m) for m in checkpoint["model"].modules() if type(m).__module__.startswith("mvdet")}
    assert ours
    assert ours <= set(CHECKPOINT_CLASSES)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert difference(checkpoint["model"](images)[0], model(images)[0]) < 1e-5


@pytest.mark.parametrize("backbone", BACKBONES)
def test_a_fused_model_loads_in_restricted_mode(backbone: str, tmp_path: Path) -> None:
    model = model_on(backbone).fuse(verbose=False)
    torch.save({"model": model}, tmp_path / "fused.pt")
    checkpoint, _ = torch_safe_load(tmp_path / "fused.pt", safe_only=True)
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(checkpoint["model"](images)[0], model(images)[0])


def test_freezing_the_backbone_row_freezes_all_of_it() -> None:
    model = model_on("mobilevit_xxs")
    frozen = [name for name, _ in model.named_parameters() if "model.0." in name]  # the rule of `freeze=1`
    assert len(frozen) == len(list(model.model[0].parameters()))


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_optimizer_of_the_trainer_takes_a_step(backbone: str) -> None:
    """MuSGD, which `optimizer=auto` picks for long runs, flattens weights and has to cope with channels_last."""
    from ultralytics.optim import MuSGD

    model = model_on(backbone).model[0].train()
    weights = [p for p in model.parameters() if p.ndim == 4]
    optimizer = MuSGD([{"params": weights, "use_muon": True}], lr=0.01)
    sum(x.square().mean() for x in model(torch.rand(2, 3, 64, 64))).backward()
    before = weights[0].detach().clone()
    optimizer.step()
    assert not torch.equal(weights[0], before)


def test_a_shallow_copy_leaves_the_original_its_weights_file(tmp_path: Path) -> None:
    torch.save(create_backbone("mobilevit_xxs").state_dict(), tmp_path / "w.pt")
    model = model_on("mobilevit_xxs", tmp_path / "w.pt")
    assert copy(model).yaml["backbone"][0][3][1] is None
    assert model.yaml["backbone"][0][3][1] == str(tmp_path / "w.pt")
