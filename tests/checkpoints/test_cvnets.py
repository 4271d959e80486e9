"""Agreement with Apple's implementation: `../shared/reference`."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mvdet import create_backbone, create_model
from mvdet.checkpoints import convert_state_dict

CASES = ["mobilevit_xxs", "mobilevit_s", "mobilevitv2_050", "mobilevitv2_100", "mobilevitv2_200"]
TOLERANCE = 1e-4  # of the reference's README


@pytest.mark.parametrize("name", CASES)
def test_classifier_agrees(name: str, reference: Callable, difference: Callable[[Tensor, Tensor], float]) -> None:
    case = reference(f"cls_{name}")
    model = create_model(name).eval()
    model.load_state_dict(convert_state_dict(case.state_dict, to=model, source="cvnets", bgr=False))
    with torch.no_grad():
        exported = torch.export.export(model, (case.images,)).module()
        assert difference(model(case.images), case.outputs["logits"]) < TOLERANCE
        assert difference(exported(case.images), case.outputs["logits"]) < TOLERANCE
        assert difference(model.fuse()(case.images), case.outputs["logits"]) < TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_pyramid_agrees(name: str, reference: Callable, difference: Callable[[Tensor, Tensor], float]) -> None:
    case = reference(f"cls_{name}")
    expand = "out_l5_exp" in case.outputs
    wanted = [case.outputs[key] for key in ("out_l2", "out_l3", "out_l4", "out_l5_exp" if expand else "out_l5")]
    backbone = create_backbone(name, out_strides=(4, 8, 16, 32), expand_output=expand).eval()
    backbone.load_state_dict(convert_state_dict(case.state_dict, to=backbone, source="cvnets", bgr=False))
    with torch.no_grad():
        for x, y in zip(backbone(case.images), wanted, strict=True):
            assert difference(x, y) < TOLERANCE
        for x, y in zip(backbone.fuse()(case.images), wanted, strict=True):
            assert difference(x, y) < TOLERANCE


@pytest.mark.parametrize("name", ["ssdlite_mobilevit_s", "deeplabv3_mobilevitv2_100"])
def test_a_detectors_file_gives_its_backbone(name: str, reference: Callable) -> None:
    case = reference(name)
    backbone = create_backbone(name.split("_", 1)[1])
    converted = convert_state_dict(case.state_dict, to=backbone, bgr=False)
    assert torch.equal(converted["stem.conv.weight"], case.state_dict["encoder.conv_1.block.conv.weight"])
