from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mvdet import create_backbone, create_model, list_backbones
from mvdet.checkpoints import convert_state_dict, export_state_dict, load_weights


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
    backbone = create_backbone("mobilevit_xxs")
    weights = {key.replace("norm2", "norm_2"): value for key, value in backbone.state_dict().items()}
    with pytest.raises(ValueError, match=r"of this model; 18 keys .*(, [^,]+){9} and 8 more; 18 keys"):
        convert_state_dict(weights, to=backbone)


@pytest.mark.parametrize("to_model", [True, False])
@pytest.mark.parametrize("wanted", list_backbones())
def test_another_variant_is_named(wanted: str, to_model: bool) -> None:
    found = "mobilevit_xs" if wanted != "mobilevit_xs" else "mobilevitv2_050"
    weights = create_model(found).state_dict()
    to = create_model(wanted) if to_model else create_backbone(wanted)
    with pytest.raises(ValueError, match=f"^the weights are {found}'s, the model is {wanted}$"):
        convert_state_dict(weights, to=to)


def test_another_number_of_image_channels_is_named() -> None:
    weights = create_backbone("mobilevit_xxs").state_dict()
    with pytest.raises(ValueError, match=r"stem.conv.weight is \[16, 3, 3, 3\], the model wants \[16, 4, 3, 3\]"):
        convert_state_dict(weights, to=create_backbone("mobilevit_xxs", in_channels=4))


def test_unknown_source() -> None:
    with pytest.raises(
        ValueError, match="source must be one of cvnets, timm, transformers, mmpretrain, mvdet, got 'tensorflow'"
    ):
        convert_state_dict({}, to=create_backbone("mobilevit_xxs"), source="tensorflow")


def test_anything_without_a_backbone_is_refused() -> None:
    with pytest.raises(TypeError, match=r"expected a MobileViT backbone .* got <class '.*Linear'>"):
        convert_state_dict({}, to=torch.nn.Linear(1, 1))


class TestHead:
    """A classifier with another number of classes."""

    def test_is_an_error_by_default(self) -> None:
        weights = create_model("mobilevit_xxs").state_dict()
        with pytest.raises(ValueError, match=r"have 1000 classes, the model has 5 classes; head='skip' loads all but"):
            convert_state_dict(weights, to=create_model("mobilevit_xxs", num_classes=5))

    @pytest.mark.parametrize("num_classes", [5, 1000])
    def test_can_be_left_out_and_the_log_says_so(self, num_classes: int, caplog: pytest.LogCaptureFixture) -> None:
        weights = create_model("mobilevit_xxs").state_dict()
        model = create_model("mobilevit_xxs", num_classes=num_classes)
        before = model.head.weight.clone()
        model.load_state_dict(convert_state_dict(weights, to=model, head="skip"))
        assert torch.equal(model.head.weight, before)
        assert torch.equal(model.backbone.stem.conv.weight, weights["backbone.stem.conv.weight"])
        assert "head.weight, head.bias of the weights left out" in caplog.text

    def test_nothing_else_can_be_left_out(self) -> None:
        weights = dict(create_model("mobilevit_xxs").state_dict())
        del weights["backbone.stem.conv.weight"]
        weights["head.extra"] = torch.zeros(1)
        message = r"1 keys that the model does not have: head.extra; 1 keys .*: backbone.stem.conv.weight$"
        with pytest.raises(ValueError, match=message):
            convert_state_dict(weights, to=create_model("mobilevit_xxs", num_classes=5), head="skip")

    def test_that_is_not_there(self) -> None:
        backbone = create_backbone("mobilevit_xxs", expand_output=True)
        model = create_model("mobilevit_xxs", num_classes=5)
        with pytest.raises(ValueError, match=r"the weights have no head, the model has 5 classes; head='skip'"):
            convert_state_dict(backbone.state_dict(), to=model)
        converted = convert_state_dict(backbone.state_dict(), to=model, head="skip")
        assert converted.keys() == model.state_dict().keys()

    def test_wrong_argument(self) -> None:
        with pytest.raises(ValueError, match="head must be 'load' or 'skip', got 'drop'"):
            convert_state_dict({}, to=create_model("mobilevit_xxs"), head="drop")  # type: ignore[arg-type]


def test_another_task_is_named(reference: Callable) -> None:
    case = reference("deeplabv3_mobilevit_s")
    with pytest.raises(
        ValueError, match=r"are a segmentation network's, the model does classification; its `backbone`"
    ):
        convert_state_dict(case.state_dict, to=create_model("mobilevit_s"))


class TestExport:
    """What `export_state_dict` refuses; what it gives is tested with each target."""

    def test_fused(self) -> None:
        with pytest.raises(ValueError, match="a fused model has no batch normalisation left to export"):
            export_state_dict(create_backbone("mobilevit_xxs").fuse(), "timm")

    def test_unknown_target(self) -> None:
        with pytest.raises(ValueError, match=r"target must be one of .*, got 'keras'"):
            export_state_dict(create_backbone("mobilevit_xxs"), "keras")

    @pytest.mark.parametrize("target", ["timm", "transformers", "cvnets", "mmpretrain"])
    def test_is_fit_for_safetensors_and_independent_of_memory_format(self, target: str, tmp_path: Path) -> None:
        model = create_model("mobilevit_xxs")
        safetensors.torch.save_file(export_state_dict(model, target), tmp_path / "w.safetensors")
        again = create_model("mobilevit_xxs")
        load_weights(again, tmp_path / "w.safetensors")
        assert all(torch.equal(value, again.state_dict()[key]) for key, value in model.state_dict().items())

    def test_channel_order_can_be_kept(self) -> None:
        backbone = create_backbone("mobilevit_xxs")
        stem, name = backbone.stem.conv.weight, "conv_1.block.conv.weight"
        assert torch.equal(export_state_dict(backbone, "cvnets")[name], stem.flip(1))
        assert torch.equal(export_state_dict(backbone, "cvnets", bgr=False)[name], stem)


@pytest.mark.parametrize("source", ["timm", "cvnets", "transformers", "mmpretrain", "mvdet"])
@pytest.mark.parametrize("stray", ["head.extra.weight", "aux_head.extra", "head.predictors.x.weight"])
def test_head_keys_that_nobody_writes_are_no_backbones_business_either(source: str, stray: str) -> None:
    backbone = create_backbone("mobilevit_xxs")
    weights = export_state_dict(create_model("mobilevit_xxs"), source) | {stray: torch.zeros(1)}
    with pytest.raises(ValueError, match=f"1 keys that the model does not have: {stray}$"):
        convert_state_dict(weights, to=backbone)


def test_our_head_in_another_sources_file_is_a_stranger() -> None:
    weights = export_state_dict(create_model("mobilevit_xxs"), "timm") | {"head.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"1 keys that the model does not have: head.weight$"):
        convert_state_dict(weights, to=create_backbone("mobilevit_xxs"))


@pytest.mark.parametrize("name", ["ssdlite_mobilevit_xxs", "ssdlite_mobilevitv2_050", "mobilevit_xxs"])
def test_every_head_of_ours_is_known(name: str) -> None:
    weights = create_model(name).state_dict()
    backbone = create_backbone(name.removeprefix("ssdlite_"))
    assert convert_state_dict(weights, to=backbone).keys() == backbone.state_dict().keys()


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.int64])
@pytest.mark.parametrize("build", [create_model, create_backbone])
def test_integers_in_place_of_weights_are_named(build: Callable, dtype: torch.dtype) -> None:
    to = build("mobilevit_xxs")
    key = next(iter(to.state_dict()))
    weights = {**to.state_dict(), key: to.state_dict()[key].to(dtype)}
    with pytest.raises(
        ValueError, match=f"1 tensors of another kind of number: {key} is {dtype}, the model wants torch.f"
    ):
        convert_state_dict(weights, to=to)
    half = {k: v.half() if v.is_floating_point() else v for k, v in to.state_dict().items()}
    assert convert_state_dict(half, to=to).keys() == to.state_dict().keys()


@pytest.mark.parametrize("channels", [1, 4])
def test_stems_of_other_channels_have_no_order(channels: int) -> None:
    backbone = create_backbone("mobilevit_xxs", in_channels=channels)
    stem = backbone.stem.conv.weight
    exported = export_state_dict(backbone, "cvnets")
    assert torch.equal(exported["conv_1.block.conv.weight"], stem)
    assert torch.equal(convert_state_dict(exported, to=backbone)["stem.conv.weight"], stem)
    message = r"bgr=True is for networks of three input channels, backbone.stem.conv.weight is \[16, "
    with pytest.raises(ValueError, match=message):
        export_state_dict(backbone, "cvnets", bgr=True)
    with pytest.raises(ValueError, match=message):
        convert_state_dict(exported, to=backbone, bgr=True)


@pytest.mark.parametrize("target", ["timm", "transformers", "cvnets", "mmpretrain", "mvdet"])
def test_what_is_exported_is_a_copy(target: str) -> None:
    model = create_model("mobilevit_xxs")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for value in export_state_dict(model, target).values():
        value.zero_()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_refusal_says_nothing_of_a_head_left_out(caplog: pytest.LogCaptureFixture) -> None:
    weights = create_model("mobilevit_xxs").state_dict() | {"backbone.extra": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"backbone.extra"):
        convert_state_dict(weights, to=create_model("mobilevit_xxs"), head="skip")
    assert not caplog.text


def test_foreign_keys_are_shown_on_one_line_and_cut() -> None:
    weights = create_backbone("mobilevit_xxs").state_dict() | {
        "a\nb\x1b[31m": torch.zeros(1),
        "x" * 250: torch.zeros(1),
    }
    with pytest.raises(ValueError, match="2 keys") as caught:
        convert_state_dict(weights, to=create_backbone("mobilevit_xxs"))
    assert str(caught.value).endswith(r"'a\nb\x1b[31m', " + "x" * 100 + "...")
