"""What takes the place of the settings and records that training code keeps beside its weights.

`torch.load(weights_only=True)` refuses a file for an `argparse.Namespace`. Nobody who wants the weights needs it: what
is listed here is neither imported nor made, something that holds nothing takes its place.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Self


class StandIn:
    """Takes what a pickle gives to an object, and keeps none of it."""

    def __new__(cls, *_: Any) -> Self:
        """Made of whatever the class it stands for was made of."""
        return super().__new__(cls)

    def __setstate__(self, _: Any) -> None:
        """Forget the state of the object that it stands for."""


_NUMPY = ("numpy.core.multiarray", "numpy._core.multiarray")  # before and since NumPy 2
_PATHS = ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath")

STAND_INS: dict[str, Callable[..., Any]] = {
    "argparse.Namespace": StandIn,  # timm, torchvision's references, DeiT and its kin
    **{f"{module}.{name}": StandIn for module in ("pathlib", "pathlib._local") for name in _PATHS},
    # metrics and random states
    **{f"{module}.{name}": StandIn for module in _NUMPY for name in ("scalar", "_reconstruct")},
    **dict.fromkeys(("numpy.dtype", "numpy.ndarray"), StandIn),
    "mmengine.logging.history_buffer.HistoryBuffer": StandIn,
    # A dict of a class of its own is an ordinary one here: torch puts items into nothing else.
    "yacs.config.CfgNode": OrderedDict,
    "easydict.EasyDict": OrderedDict,
    "pytorch_lightning.utilities.parsing.AttributeDict": OrderedDict,
    "lightning_fabric.utilities.data.AttributeDict": OrderedDict,
    "lightning.pytorch.utilities.parsing.AttributeDict": OrderedDict,
    "lightning.fabric.utilities.data.AttributeDict": OrderedDict,
}
"""By the names that pickles call them."""
