"""Agreement with transformers on random weights, there and back."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mvdet import create_backbone, create_model, list_backbones
from mvdet.backbones import VARIANTS
from mvdet.benchmarks.rivals import transformers_config
from mvdet.checkpoints import convert_state_dict, export_state_dict
from mvdet.checkpoints.formats.mvdet import MVDET
from mvdet.checkpoints.formats.transformers import TRANSFORMERS
from mvdet.checkpoints.identify import count_classes, find_task

transformers = pytest.importorskip("transformers")

SIZES = [(256, 256), (320, 192)]


def classifier(name: str, **options: object) -> nn.Module:
    return transformers.AutoModelForImageClassification.from_config(transformers_config(name, **options))


def as_expected(images: Tensor, name: str) -> Tensor:
    """RGB images in the channel order that transformers' published networks of that name expect."""
    return images.flip(1) if VARIANTS[name].version == 1 else images


@pytest.mark.parametrize("name", list_backbones())
def test_logits_and_feature_maps_agree_and_weights_go_back(
    name: str, difference: Callable[[Tensor, Tensor], float], spread: Callable[[nn.Module], nn.Module]
) -> None:
    theirs = spread(classifier(name, num_labels=11))
    model = create_model(name, num_classes=11).eval()
    model.load_state_dict(convert_state_dict(theirs.state_dict(), to=model))
    backbone = create_backbone(name, out_strides=(2, 4, 8, 16, 32)).eval()
    backbone.load_state_dict(convert_state_dict(theirs.state_dict(), to=backbone))
    with torch.no_grad():
        for size in SIZES:
            images = torch.rand(1, 3, *size)
            wanted = theirs(as_expected(images, name), output_hidden_states=True)
            assert difference(model(images), wanted.logits) < 1e-4
            for x, y in zip(backbone(images), wanted.hidden_states, strict=True):
                assert difference(x, y) < 1e-4
    exported = export_state_dict(model, "transformers")
    assert exported.keys() == theirs.state_dict().keys()
    assert all(torch.equal(exported[key], value) for key, value in theirs.state_dict().items())


def test_a_model_without_a_head_is_taken_too(spread: Callable[[nn.Module], nn.Module]) -> None:
    theirs = spread(transformers.AutoModel.from_config(transformers_config("mobilevit_xxs")))
    backbone = create_backbone("mobilevit_xxs", expand_output=True)
    converted = convert_state_dict(theirs.state_dict(), to=backbone)
    assert torch.equal(converted["stem.conv.weight"].flip(1), theirs.conv_stem.convolution.weight)


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevit_xs", "mobilevit_s"])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_segmentation_encoder_agrees(
    name: str,
    output_stride: int,
    difference: Callable[[Tensor, Tensor], float],
    spread: Callable[[nn.Module], nn.Module],
) -> None:
    config = transformers_config(name, num_labels=21, output_stride=output_stride)
    theirs = spread(transformers.MobileViTForSemanticSegmentation(config))
    backbone = create_backbone(name, out_strides=(2, 4, 8, 16, 32), output_stride=output_stride).eval()
    backbone.load_state_dict(convert_state_dict(theirs.state_dict(), to=backbone))
    images = torch.rand(1, 3, 128, 192)
    with torch.no_grad():
        wanted = theirs(images.flip(1), output_hidden_states=True).hidden_states
        for x, y in zip(backbone(images), wanted, strict=True):
            assert difference(x, y) < 1e-4


def test_v2_blocks_are_dilated_here_and_not_in_transformers(
    difference: Callable[[Tensor, Tensor], float], spread: Callable[[nn.Module], nn.Module]
) -> None:
    """The published v2 weights were trained with the dilation; taking it out of our blocks gives transformers' maps."""
    config = transformers_config("mobilevitv2_050", output_stride=16)
    theirs = spread(transformers.MobileViTV2ForSemanticSegmentation(config))
    backbone = create_backbone("mobilevitv2_050", out_strides=(16, 32), output_stride=16).eval()
    backbone.load_state_dict(convert_state_dict(theirs.state_dict(), to=backbone))
    images = torch.rand(1, 3, 128, 192)
    with torch.no_grad():
        *_, wanted_16, wanted_32 = theirs(images, output_hidden_states=True).hidden_states
        map_16, map_32 = backbone(images)
        assert difference(map_16, wanted_16) < 1e-4
        assert difference(map_32, wanted_32) > 1e-2
        local_conv = backbone.stages[4][1].local_conv
        assert local_conv.conv.dilation == (2, 2)
        local_conv.conv.dilation = local_conv.conv.padding = (1, 1)
        assert difference(backbone(images)[1], wanted_32) < 1e-4


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_050"])
def test_segmentation_keys_are_written_back_equal(name: str) -> None:
    kind = {1: transformers.MobileViTForSemanticSegmentation, 2: transformers.MobileViTV2ForSemanticSegmentation}
    spec = VARIANTS[name]
    theirs = kind[spec.version](transformers_config(name, num_labels=5)).state_dict()
    ours, leftovers = TRANSFORMERS.read(theirs)
    assert leftovers == []
    assert MVDET.read(ours)[1] == []
    assert (find_task(ours), count_classes(ours)) == ("segmentation", 5)
    back = TRANSFORMERS.write(ours, spec, "segmentation")
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[key], value) for key, value in theirs.items())
