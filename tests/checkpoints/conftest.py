"""Other implementations' networks, with weights under which every part of them matters."""

from collections.abc import Callable

import pytest
import torch
from torch import nn


@pytest.fixture(scope="session")
def spread() -> Callable[[nn.Module], nn.Module]:
    """Gives every parameter and statistic of a network a random value of ordinary size, and puts it in eval mode.

    transformers' own initialisation lets the activations of a fresh network vanish.
    """

    def fill(model: nn.Module) -> nn.Module:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() > 1:
                    parameter.normal_(std=1.4 / parameter[0].numel() ** 0.5)
                elif name.endswith("weight"):
                    parameter.uniform_(0.8, 1.2)
                else:
                    parameter.uniform_(-0.1, 0.1)
            for layer in model.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.running_mean.uniform_(-0.2, 0.2)
                    layer.running_var.uniform_(0.5, 1.5)
        return model.eval()

    return fill
