"""A trained network made ready for inference."""

from torch import nn

from mvdet.backbones.cpu import specialise
from mvdet.backbones.layers import ConvNormAct


def fuse(network: nn.Module) -> None:
    """Fold every batch normalisation of `ConvNormAct` into its convolution, in place, and put in what CPUs gain from.

    For inference only. The running statistics are used whatever the mode; doing it twice changes nothing.
    """
    for module in network.modules():
        if isinstance(module, ConvNormAct):
            module.fuse()
    specialise(network)
