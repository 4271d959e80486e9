"""Agreement with OpenMMLab's implementation, which `tests/data/reference` holds outputs of, there and back."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mvdet import create_backbone, create_model
from mvdet.checkpoints import convert_state_dict, describe_weights, export_state_dict, load_weights, read_state_dict
from mvdet.checkpoints.rewrite import rewrite_weights

CASES = ["mobilevit_xxs", "mobilevit_s"]
TOLERANCE = 1e-4  # of the reference's README


@pytest.mark.parametrize("name", CASES)
def test_outputs_agree_on_rgb_images(
    name: str, reference: Callable, difference: Callable[[Tensor, Tensor], float]
) -> None:
    """The reference was fed the images as BGR: a converted network gives the same on the same pixels as RGB."""
    case = reference(f"mmpretrain_{name}")
    model, backbone = create_model(name).eval(), create_backbone(name, expand_output=True).eval()
    model.load_state_dict(convert_state_dict(case.state_dict, to=model))
    backbone.load_state_dict(convert_state_dict(case.state_dict, to=backbone))
    images = case.images.flip(1)
    with torch.no_grad():
        assert difference(model(images), case.outputs["logits"]) < TOLERANCE
        assert difference(backbone(images)[-1], case.outputs["out_l5_exp"]) < TOLERANCE
        assert difference(model(case.images), case.outputs["logits"]) > 100 * TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_weights_go_back_bit_for_bit(name: str, reference: Callable, tmp_path: Path) -> None:
    case = reference(f"mmpretrain_{name}")
    model = create_model(name)
    model.load_state_dict(convert_state_dict(case.state_dict, to=model))
    torch.save({"meta": {"epoch": 300}, "state_dict": case.state_dict}, tmp_path / "theirs.pth")
    rewrite_weights(tmp_path / "theirs.pth", tmp_path / "ours.safetensors")
    rewrite_weights(tmp_path / "ours.safetensors", tmp_path / "back.safetensors", to="mmpretrain")
    for back in (export_state_dict(model, "mmpretrain"), read_state_dict(tmp_path / "back.safetensors")):
        assert back.keys() == case.state_dict.keys()
        assert all(torch.equal(back[key], value) for key, value in case.state_dict.items())


@pytest.mark.parametrize("task", ["ssdlite_", "deeplabv3_"])
def test_other_models_take_the_backbone(task: str, reference: Callable, tmp_path: Path) -> None:
    case = reference("mmpretrain_mobilevit_xxs")
    torch.save({"meta": {}, "state_dict": case.state_dict}, tmp_path / "w.pth")
    model = create_model(f"{task}mobilevit_xxs", weights_backbone=tmp_path / "w.pth")
    assert torch.equal(model.backbone.stem.conv.weight, case.state_dict["backbone.stem.conv.weight"].flip(1))
    info = describe_weights(tmp_path / "w.pth")
    assert (info.source, info.variant, info.task, info.num_classes, info.bgr) == (
        *("mmpretrain", "mobilevit_xxs", "classification", 1000),
        True,
    )


@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_a_backbone_alone(prefix: str, reference: Callable, tmp_path: Path) -> None:
    """As `init_cfg` takes it, with and without what stands before a backbone's keys."""
    weights = {
        prefix + key.removeprefix("backbone."): value
        for key, value in reference("mmpretrain_mobilevit_xxs").state_dict.items()
        if key.startswith("backbone.")
    }
    torch.save(weights, tmp_path / "w.pth")
    backbone = create_backbone("auto", weights=tmp_path / "w.pth")
    load_weights(backbone, tmp_path / "w.pth", bgr=False)
    assert torch.equal(backbone.stem.conv.weight, weights[f"{prefix}stem.conv.weight"])
