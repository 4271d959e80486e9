"""Initial weights of networks trained from scratch."""

from torch import nn


def init_weights(module: nn.Module) -> None:
    """Initialise as the published training runs did (MobileViT's configuration in ml-cvnets).

    Convolutions: normal with the variance 2 / fan_out (He et al., 2015). Linear layers: normal, truncated, with a
    standard deviation of 0.02. Norms: one and zero. Biases: zero.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
        elif isinstance(layer, (nn.BatchNorm2d, nn.LayerNorm, nn.GroupNorm)):
            nn.init.ones_(layer.weight)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
