"""Agreement with timm on random weights, there and back."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mvdet import create_backbone, create_model, list_backbones
from mvdet.checkpoints import convert_state_dict, export_state_dict

timm = pytest.importorskip("timm")

SIZES = [(256, 256), (320, 192), (96, 160)]  # the last has odd maps at stride 32


@pytest.mark.parametrize("name", list_backbones())
def test_logits_agree_and_weights_go_back(
    name: str, difference: Callable[[Tensor, Tensor], float], spread: Callable[[nn.Module], nn.Module]
) -> None:
    theirs = spread(timm.create_model(name, num_classes=11))
    model = create_model(name, num_classes=11).eval()
    model.load_state_dict(convert_state_dict(theirs.state_dict(), to=model))
    with torch.no_grad():
        for size in SIZES:
            images = torch.rand(1, 3, *size)
            assert difference(model(images), theirs(images)) < 1e-4
    exported = export_state_dict(model, "timm")
    assert exported.keys() == theirs.state_dict().keys()
    assert all(torch.equal(exported[key], value) for key, value in theirs.state_dict().items())


@pytest.mark.parametrize("name", list_backbones())
def test_feature_maps_agree(
    name: str, difference: Callable[[Tensor, Tensor], float], spread: Callable[[nn.Module], nn.Module]
) -> None:
    features = spread(timm.create_model(name, features_only=True))
    expand = name.startswith("mobilevit_")
    backbone = create_backbone(name, out_strides=(2, 4, 8, 16, 32), expand_output=expand).eval()
    backbone.load_state_dict(convert_state_dict(features.state_dict(), to=backbone))
    with torch.no_grad():
        for size in SIZES[:2]:
            images = torch.rand(1, 3, *size)
            for x, y in zip(backbone(images), features(images), strict=True):
                assert difference(x, y) < 1e-4


def test_a_backbone_alone_goes_into_timm(spread: Callable[[nn.Module], nn.Module]) -> None:
    backbone = spread(create_backbone("mobilevitv2_050"))
    theirs = timm.create_model("mobilevitv2_050")
    missing, unexpected = theirs.load_state_dict(export_state_dict(backbone, "timm"), strict=False)
    assert missing == ["head.fc.weight", "head.fc.bias"]
    assert not unexpected
