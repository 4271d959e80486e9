"""Parts of a network that do not train."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


class Freezing:
    """Keeps a backbone, or its batch normalisation alone, as it was loaded, whatever `train()` says.

    Args:
        backbone: the module.
        whole: no parameter of it trains, and its statistics stay.
        batch_norm: its normalisation layers do not train, and their statistics stay.
    """

    def __init__(self, backbone: nn.Module, *, whole: bool, batch_norm: bool) -> None:
        self.whole = whole
        self.batch_norm = batch_norm
        if whole:
            backbone.requires_grad_(False)
        elif batch_norm:
            for layer in self._norms(backbone):
                layer.requires_grad_(False)
        self.apply(backbone)  # a new module is in training mode

    def apply(self, backbone: nn.Module) -> None:
        """To be called after `train()`: puts back into evaluation mode what is frozen."""
        if self.whole:
            backbone.eval()
        elif self.batch_norm:
            for layer in self._norms(backbone):
                layer.eval()

    @staticmethod
    def _norms(module: nn.Module) -> list[nn.Module]:
        return [layer for layer in module.modules() if isinstance(layer, _BatchNorm)]
