"""Agreement with Apple's implementation: `../shared/reference`."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mvdet import create_backbone, create_model
from mvdet.backbones import VARIANTS
from mvdet.checkpoints import convert_state_dict, export_state_dict
from mvdet.checkpoints.formats.cvnets import CVNETS
from mvdet.checkpoints.identify import count_classes, find_task, find_variants

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


@pytest.mark.parametrize("name", CASES)
def test_classifier_goes_back_bit_for_bit(name: str, reference: Callable) -> None:
    case = reference(f"cls_{name}")
    model = create_model(name)
    model.load_state_dict(convert_state_dict(case.state_dict, to=model))
    exported = export_state_dict(model, "cvnets")
    assert exported.keys() == case.state_dict.keys()
    assert all(torch.equal(exported[key], value) for key, value in case.state_dict.items())


@pytest.mark.parametrize(
    ("name", "task", "classes"),
    [
        ("ssdlite_mobilevit_s", "detection", 81),
        ("ssdlite_mobilevitv2_100", "detection", 81),
        ("deeplabv3_mobilevit_s", "segmentation", 21),
        ("deeplabv3_mobilevitv2_100", "segmentation", 21),
    ],
)
def test_every_key_of_a_detector_or_segmenter_has_our_name(
    name: str, task: str, classes: int, reference: Callable
) -> None:
    case = reference(name)
    variant = name.split("_", 1)[1]
    converted, leftovers = CVNETS.read(case.state_dict)
    assert leftovers == []
    assert len(converted) == len(case.state_dict)
    assert {key.partition(".")[0] for key in converted} <= {"backbone", "head", "aux_head"}
    assert (find_task(converted), find_variants(converted), count_classes(converted)) == (task, [variant], classes)
    back = CVNETS.write(converted, VARIANTS[variant], task)
    assert back.keys() == case.state_dict.keys()
    assert all(back[key] is value for key, value in case.state_dict.items())
    backbone = create_backbone(variant)
    converted = convert_state_dict(case.state_dict, to=backbone, bgr=False)
    assert torch.equal(converted["stem.conv.weight"], case.state_dict["encoder.conv_1.block.conv.weight"])


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevit_s"])
def test_a_v1_stem_gives_on_rgb_what_the_original_gives_on_bgr(
    name: str, reference: Callable, difference: Callable[[Tensor, Tensor], float]
) -> None:
    case = reference(f"cls_{name}")
    original = torch.nn.functional.conv2d(
        case.images.flip(1), case.state_dict["conv_1.block.conv.weight"], stride=2, padding=1
    )
    backbone = create_backbone(name)
    backbone.load_state_dict(convert_state_dict(case.state_dict, to=backbone))
    with torch.no_grad():
        assert difference(backbone.stem.conv(case.images), original) < 1e-6
    # and the whole network, too
    model, swapped = create_model(name).eval(), create_model(name).eval()
    model.load_state_dict(convert_state_dict(case.state_dict, to=model))
    swapped.load_state_dict(convert_state_dict(case.state_dict, to=swapped, bgr=False))
    with torch.no_grad():
        assert difference(model(case.images.flip(1)), swapped(case.images)) < 1e-5
