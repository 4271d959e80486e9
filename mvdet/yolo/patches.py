"""Everything that mvdet changes in ultralytics, each with its reason. Tested with ultralytics 8.4.140 and 8.4.190.

Each patch acts only on a model with a `MobileViT` row and hands everything else on, arguments and result untouched.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce, wraps
from typing import Any

from torch import nn
from ultralytics.nn import tasks

from mvdet.yolo.modules import MobileViT
from mvdet.yolo.rows import drop_weights, has_mobilevit, prepare_rows


@dataclass(frozen=True, slots=True)
class Patch:
    """One replaced attribute.

    Attributes:
        target: where it is in `ultralytics.nn.tasks`: "function" or "Class.method".
        replacement: takes the attribute as it is and gives what takes its place.
        reason: why ultralytics' own does not do.
    """

    target: str
    replacement: Callable[[Any], Any]
    reason: str

    def apply(self) -> None:
        """Replace the attribute, unless that has been done."""
        *owners, name = self.target.split(".")
        owner = reduce(getattr, owners, tasks)
        original = getattr(owner, name)
        if not getattr(original, "is_mvdets", False):
            replacement = self.replacement(original)
            replacement.is_mvdets = True
            setattr(owner, name, replacement)


def _parse_model(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def parse_model(d: dict[str, Any], ch: int, verbose: bool = True) -> Any:
        if has_mobilevit(d):
            prepare_rows(d, ch)
        return original(d, ch, verbose)

    return parse_model


def _fuse(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fuse(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        for module in self.modules():
            if isinstance(module, MobileViT):
                module.fuse()
        return original(self, *args, **kwargs)

    return fuse


def _setstate(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def __setstate__(self: nn.Module, state: dict[str, Any]) -> None:  # noqa: N807
        original(self, state)
        definition = getattr(self, "yaml", None)
        if definition and has_mobilevit(definition):
            definition = deepcopy(definition)  # a shallow copy shares it with the original
            drop_weights(definition)
            self.yaml = definition

    return __setstate__


PATCHES = (
    Patch(
        "parse_model",
        _parse_model,
        "checks MobileViT rows and the channels of the Index rows that read them, so that a mistake is reported with "
        "its row instead of as a convolution's shape error; tells the backbone how many channels the images have",
    ),
    Patch("BaseModel.fuse", _fuse, "folds the batch normalisation of MobileViT's convolutions too"),
    Patch(
        "BaseModel.__setstate__",
        _setstate,
        "a model that was loaded or copied carries its weights: fine-tuning it must not look for the file that its "
        "backbone was once initialised from",
    ),
)
