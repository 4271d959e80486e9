"""Everything that mvdet changes in ultralytics, each with its reason.

Tested with ultralytics 8.4.140 and 8.4.190.

Each patch acts only on a model with a row of ours (`mvdet.yolo.rows.MODULES`), or where it says so on a switch, and
hands everything else on, arguments and result untouched.
"""

import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import reduce, wraps
from importlib import import_module
from typing import Any

from torch import nn
from ultralytics.nn import tasks

from mvdet.yolo.deeplabv3 import DeepLabV3SemanticSegment
from mvdet.yolo.modules import MobileViT
from mvdet.yolo.rows import Sources, drop_weights, has_rows_of_ours, prepare_rows
from mvdet.yolo.ssdlite import SSDLiteDetect


@dataclass(frozen=True, slots=True)
class Patch:
    """One attribute of ultralytics that mvdet replaces.

    Attributes:
        target: where the attribute is in its module: "function" or "Class.method".
        replacement: a function that takes the attribute as it is and returns what takes its place.
        reason: why ultralytics' own does not do.
        module: the module of ultralytics that the attribute is in.
    """

    target: str
    replacement: Callable[[Any], Any]
    reason: str
    module: str = tasks.__name__

    def apply(self) -> None:
        """Replace the attribute, unless that has been done."""
        *owners, name = self.target.split(".")
        owner = reduce(getattr, owners, import_module(self.module))
        original = getattr(owner, name)
        if not getattr(original, "is_mvdets", False):
            replacement = self.replacement(original)
            replacement.is_mvdets = True
            setattr(owner, name, replacement)


def _parse_model(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def parse_model(d: dict[str, Any], ch: int, *args: Any, **kwargs: Any) -> Any:
        apply_late_patches()
        if not has_rows_of_ours(d):
            return original(d, ch, *args, **kwargs)
        prepare_rows(d, ch)
        layers, save = original(d, ch, *args, **kwargs)
        for layer in layers:
            if isinstance(layer.f, Sources):
                layer.f = list(layer.f)  # a checkpoint holds it
        return layers, save

    return parse_model


def _fuse(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def fuse(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        for module in self.modules():
            if isinstance(module, (MobileViT, SSDLiteDetect, DeepLabV3SemanticSegment)):
                module.fuse()
        return original(self, *args, **kwargs)

    return fuse


def _setstate(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def __setstate__(self: nn.Module, state: dict[str, Any]) -> None:  # noqa: N807
        apply_late_patches()
        original(self, state)
        definition = getattr(self, "yaml", None)
        if definition and has_rows_of_ours(definition):
            definition = deepcopy(definition)  # a shallow copy shares it with the original
            drop_weights(definition)
            self.yaml = definition

    return __setstate__


def _init_criterion(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def init_criterion(self: Any) -> Any:
        head = self.model[-1]
        if not isinstance(head, (SSDLiteDetect, DeepLabV3SemanticSegment)):
            return original(self)
        # torchvision.ops comes with it: `import ultralytics` must not take that long, and only training needs it.
        from mvdet.yolo.losses import DeepLabV3Criterion, SSDLiteCriterion

        return SSDLiteCriterion(self) if isinstance(head, SSDLiteDetect) else DeepLabV3Criterion(self)

    return init_criterion


def _train(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def train(self: Any, trainer: Any = None, **kwargs: Any) -> Any:
        # ultralytics' trainers and data sets come with it: `import ultralytics` is without them.
        from mvdet.yolo.multi_scale import requested_range, trainer_for

        if trainer is None and requested_range() is not None:
            trainer = trainer_for(self)
        return original(self, trainer, **kwargs)

    return train


PATCHES = (
    Patch(
        "parse_model",
        _parse_model,
        "checks MobileViT rows and the channels of the Index rows that read them, so that a mistake is reported with "
        "its row instead of as a convolution's shape error; tells the backbone how many channels the images have, and "
        "a row with a head of ours, which may read two rows, how many its maps have",
    ),
    Patch("BaseModel.fuse", _fuse, "folds the batch normalisation of our convolutions too"),
    Patch(
        "BaseModel.__setstate__",
        _setstate,
        "a model that was loaded or copied carries its weights: fine-tuning it must not look for the file that its "
        "backbone was once initialised from",
    ),
    Patch(
        "DetectionModel.init_criterion",
        _init_criterion,
        "a model whose head is SSDLiteDetect is trained with SSDLite's loss; ultralytics knows no loss but YOLO's, and "
        "a head cannot bring one",
    ),
    Patch(
        "SemanticSegmentationModel.init_criterion",
        _init_criterion,
        "the same for DeepLabV3SemanticSegment: its loss is cross-entropy with the logits stretched as in prediction, "
        "ultralytics' adds a Dice loss and stretches otherwise",
    ),
)

LATE_PATCHES = (
    Patch(
        "Model.train",
        _train,
        "the `yolo` command refuses arguments that are not its own, so multi-scale training is switched on by the "
        "environment variable MVDET_MULTI_SCALE, and off without it; a trainer that is given is taken",
        module="ultralytics.engine.model",
    ),
)
"""Patches of modules that import `ultralytics.nn.tasks`, and so may be half imported when mvdet registers."""


def apply_late_patches() -> None:
    """Apply those of `LATE_PATCHES` whose class is there by now; calling it again changes nothing.

    Registration calls it, and so does every network that is built or loaded. What is patched are methods of models,
    which have a network before anybody can call them: so no call is missed.
    """
    for patch in LATE_PATCHES:
        owner = patch.target.partition(".")[0]
        if hasattr(sys.modules.get(patch.module), owner):  # while it is being imported, it may have no such class yet
            patch.apply()
