"""Agreement with timm on random weights, where it is installed (`pip install mvdet[bench]`)."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mvdet import create_backbone, create_model, list_models
from mvdet.checkpoints import convert_state_dict

timm = pytest.importorskip("timm")


@pytest.mark.parametrize("name", list_models())
@pytest.mark.parametrize("size", [(64, 128), (96, 160)])  # 96 has odd maps at stride 32
def test_classifier_agrees(name: str, size: tuple[int, int], difference: Callable[[Tensor, Tensor], float]) -> None:
    theirs = timm.create_model(name, num_classes=11).eval()
    model = create_model(name, num_classes=11).eval()
    model.load_state_dict(convert_state_dict(theirs.state_dict(), to=model))
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        assert difference(model(images), theirs(images)) < 1e-4


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_050"])
def test_pyramid_agrees(name: str, difference: Callable[[Tensor, Tensor], float]) -> None:
    theirs = timm.create_model(name).eval()
    backbone = create_backbone(name, out_strides=(2, 4, 8, 16, 32), expand_output="v2" not in name).eval()
    backbone.load_state_dict(convert_state_dict(theirs.state_dict(), to=backbone, source="timm"))
    features = timm.create_model(name, features_only=True).eval()
    weights = {k.replace("stages.", "stages_", 1): v for k, v in theirs.state_dict().items()}
    features.load_state_dict({k: v for k, v in weights.items() if not k.startswith("head.")})
    images = torch.rand(2, 3, 64, 128)
    with torch.no_grad():
        for x, y in zip(backbone(images), features(images), strict=True):
            assert difference(x, y) < 1e-4
