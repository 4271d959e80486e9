"""DeepLabV3: agreement with transformers on random weights, there and back."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mvdet import create_model
from mvdet.benchmarks.rivals import transformers_config
from mvdet.checkpoints import convert_state_dict, export_state_dict

transformers = pytest.importorskip("transformers")

V1 = ["mobilevit_xxs", "mobilevit_xs", "mobilevit_s"]


@pytest.mark.parametrize("name", V1)
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_v1_logits_agree_and_weights_go_back(
    name: str,
    output_stride: int,
    difference: Callable[[Tensor, Tensor], float],
    spread: Callable[[nn.Module], nn.Module],
) -> None:
    config = transformers_config(name, num_labels=21, output_stride=output_stride)
    theirs = spread(transformers.MobileViTForSemanticSegmentation(config))
    model = create_model(f"deeplabv3_{name}", output_stride=output_stride).eval()
    model.load_state_dict(convert_state_dict(theirs.state_dict(), to=model))
    with torch.no_grad():
        for size in ((128, 192), (96, 64)):
            images = torch.rand(1, 3, *size)
            wanted = theirs(images.flip(1)).logits
            assert difference(model(images, upsample=False)["out"], wanted) < 1e-4
    exported = export_state_dict(model, "transformers")
    assert exported.keys() == theirs.state_dict().keys()
    assert all(torch.equal(exported[key], value) for key, value in theirs.state_dict().items())


def test_v2_logits_agree_without_the_dilation_that_transformers_leaves_out(
    difference: Callable[[Tensor, Tensor], float], spread: Callable[[nn.Module], nn.Module]
) -> None:
    """In the encoder alone: the heads are the same, but for the auxiliary one, which transformers has not."""
    config = transformers_config("mobilevitv2_050", num_labels=7, output_stride=16)
    theirs = spread(transformers.MobileViTV2ForSemanticSegmentation(config))
    model = create_model("deeplabv3_mobilevitv2_050", num_classes=7, aux_head=False).eval()
    model.load_state_dict(convert_state_dict(theirs.state_dict(), to=model))
    images = torch.rand(1, 3, 128, 192)
    with torch.no_grad():
        wanted = theirs(images).logits
        assert difference(model(images, upsample=False)["out"], wanted) > 1e-2
        local_conv = model.backbone.stages[4][1].local_conv
        local_conv.conv.dilation = local_conv.conv.padding = (1, 1)
        assert difference(model(images, upsample=False)["out"], wanted) < 1e-4
