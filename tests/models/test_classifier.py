from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mvdet import create_model, list_backbones
from mvdet.backbones import VARIANTS


@pytest.mark.parametrize("name", list_backbones())
def test_parameter_count_is_the_published_one(name: str) -> None:
    with torch.device("meta"):
        model = create_model(name)
    assert sum(p.numel() for p in model.parameters()) == VARIANTS[name].num_params


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevitv2_050"])
def test_logits_and_fuse(
    name: str, difference: Callable[[Tensor, Tensor], float], randomise: Callable[[nn.Module], None]
) -> None:
    model = create_model(name, num_classes=7, in_channels=1).eval()
    randomise(model)
    images = torch.rand(2, 1, 70, 90)
    with torch.no_grad():
        logits = model(images)
        assert logits.shape == (2, 7)
        assert difference(model.fuse()(images), logits) < 1e-4


def test_dropout_is_the_published_one_unless_given() -> None:
    assert create_model("mobilevit_s").dropout.p == 0.1
    assert create_model("mobilevitv2_100").dropout.p == 0.0
    assert create_model("mobilevit_s", dropout=0.3).dropout.p == 0.3


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="num_classes must be at least 1, got 0"):
        create_model("mobilevit_s", num_classes=0)
