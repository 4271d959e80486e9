import pytest
import torch

from mvdet import create_backbone, create_model
from mvdet.checkpoints import convert_state_dict
from mvdet.checkpoints.convert import detect_format
from mvdet.checkpoints.cvnets import CVNETS
from mvdet.checkpoints.own import OWN

STEM = "conv_1.block.conv.weight"


def test_sources_are_recognised_by_their_keys() -> None:
    assert detect_format([STEM]) is CVNETS
    assert detect_format([f"encoder.{STEM}"]) is CVNETS
    assert detect_format(create_model("mobilevit_xxs").state_dict()) is OWN
    assert detect_format(create_backbone("mobilevit_xxs").state_dict()) is OWN
    with pytest.raises(
        ValueError, match=r"not a MobileViT state dict of a known source \(cvnets, timm, mvdet\): fc.weight"
    ):
        detect_format(["fc.weight"])


@pytest.mark.parametrize(
    ("name", "bgr", "flipped"),
    [
        ("mobilevit_xxs", None, True),
        ("mobilevit_xxs", False, False),
        ("mobilevitv2_050", None, False),
        ("mobilevitv2_050", True, True),
    ],
)
def test_stem_channels_are_flipped_for_bgr(name: str, bgr: bool | None, flipped: bool) -> None:
    backbone = create_backbone(name, out_strides=(2,))
    weight = backbone.state_dict()["stem.conv.weight"]
    stem = {f"conv_1.block.{k.removeprefix('stem.')}": v for k, v in backbone.state_dict().items() if "stem" in k}
    rest = {f"backbone.{k}": v for k, v in backbone.state_dict().items() if "stem" not in k}
    converted = convert_state_dict(stem | rest, to=backbone, source="cvnets", bgr=bgr)
    assert torch.equal(converted["stem.conv.weight"], weight.flip(1) if flipped else weight)


def test_our_own_weights_pass_between_model_and_backbone() -> None:
    model = create_model("mobilevit_xxs", num_classes=3)
    backbone = create_backbone("mobilevit_xxs", out_strides=(8, 16))
    converted = convert_state_dict(model.state_dict(), to=backbone)
    assert set(converted) == set(backbone.state_dict())
    again = convert_state_dict(backbone.state_dict(), to=backbone)
    assert set(again) == set(backbone.state_dict())


def test_every_leftover_is_listed_and_counted() -> None:
    backbone = create_backbone("mobilevit_xxs")
    weights = dict(backbone.state_dict())
    del weights["stem.norm.bias"]
    weights["stages.0.0.extra"] = torch.zeros(1)
    message = (
        r"1 keys that the model does not have: stages.0.0.extra; "
        r"1 keys of the model are not in the weights: stem.norm.bias"
    )
    with pytest.raises(ValueError, match=message):
        convert_state_dict(weights, to=backbone)


def test_many_leftovers_are_cut_after_ten() -> None:
    with pytest.raises(ValueError, match=r"of this model; \d+ keys .*(, [^,]+){9} and \d+ more"):
        convert_state_dict(create_backbone("mobilevitv2_050").state_dict(), to=create_backbone("mobilevit_xxs"))


def test_another_width_is_named() -> None:
    small, large = create_backbone("mobilevitv2_050"), create_backbone("mobilevitv2_100")
    with pytest.raises(ValueError, match=r"stem.conv.weight is \[16, 3, 3, 3\], the model wants \[32, 3, 3, 3\]"):
        convert_state_dict(small.state_dict(), to=large)


def test_unknown_source() -> None:
    with pytest.raises(ValueError, match="source must be one of cvnets, timm, mvdet, got 'tensorflow'"):
        convert_state_dict({}, to=create_backbone("mobilevit_xxs"), source="tensorflow")
