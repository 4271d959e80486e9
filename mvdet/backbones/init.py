"""Initial weights of networks trained from scratch."""

from torch import nn

from mvdet.backbones.layers import InvertedResidual
from mvdet.backbones.mobilevit_block import TransformerLayer
from mvdet.backbones.mobilevitv2_block import LinearTransformerLayer


def init_weights(module: nn.Module) -> None:
    """Initialise for detectors that are trained from scratch, for few steps rather than for 300 epochs.

    Convolutions keep PyTorch's initialisation (He et al., 2015, with a = sqrt(5)), as ultralytics' own layers do.
    Linear layers: normal, truncated, with a standard deviation of 0.02 (ml-cvnets). Every residual branch, those of the
    transformer layers and those of the inverted residuals, ends in zeros, so that it starts as the identity (Goyal et
    al., 2017, arXiv:1706.02677, section 5.1).

    docs/results.md, section BCCD, says what each step gave.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
    for layer in module.modules():
        if isinstance(layer, (TransformerLayer, LinearTransformerLayer)):
            for last in (layer.attn.proj, layer.ffn[-1]):
                for parameter in last.parameters():
                    nn.init.zeros_(parameter)
        elif isinstance(layer, InvertedResidual) and layer.has_skip:
            norm = layer.project.norm
            assert isinstance(norm, nn.BatchNorm2d)
            nn.init.zeros_(norm.weight)
