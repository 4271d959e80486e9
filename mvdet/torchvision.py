"""Our networks in torchvision's model registry: `torchvision.models.get_model("mobilevit_s", weights="DEFAULT")`.

`import mvdet.torchvision` is all it takes; nothing else registers there. This is the one place that touches what
torchvision keeps to itself (`_api.register_model`, `_presets`). Written for torchvision 0.21 to 0.29, tested with 0.29.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models as torchvision_models
from torchvision.models import ResNet18_Weights
from torchvision.models._api import BUILTIN_MODELS, Weights, WeightsEnum, register_model
from torchvision.transforms._presets import ImageClassification
from torchvision.transforms.functional import InterpolationMode

from mvdet.backbones.variants import VARIANTS
from mvdet.checkpoints.download import places
from mvdet.checkpoints.manifest import PublishedWeights, manifest
from mvdet.checkpoints.weights import read_weights
from mvdet.models.registry import create_model


class MobileViTWeights(WeightsEnum):
    """Published weights of one of our networks; `meta` says where they come from and how they were evaluated."""

    def get_state_dict(self, *, progress: bool = True, check_hash: bool = True) -> dict[str, Tensor]:
        """The weights under our names, for RGB images; downloaded on first use.

        The arguments are torchvision's and change nothing: a download always shows its progress, unless
        huggingface_hub's setting `HF_HUB_DISABLE_PROGRESS_BARS` forbids it, and the hash is always checked.
        """
        with torch.device("meta"):  # shapes only
            model = create_model(self.meta["architecture"])
        return read_weights(self.meta["name"], to=model)


def register() -> None:
    """Add every classifier to torchvision's registry, and its weights to torchvision.models; again changes nothing."""
    for name in VARIANTS:
        if name not in BUILTIN_MODELS:
            weights = _weights_enum(name)
            globals()[weights.__name__] = weights  # where pickle looks for its members
            setattr(torchvision_models, weights.__name__, weights)  # where torchvision's get_weight does
            register_model(name)(_builder(name, weights))


def _builder(name: str, enum: type[MobileViTWeights]) -> Callable[..., nn.Module]:
    def build(
        *,
        weights: enum | str | Path | None = None,  # type: ignore[valid-type]  # torchvision reads the enum off here
        progress: bool = True,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float | None = None,
    ) -> nn.Module:
        chosen: Any = weights
        if isinstance(chosen, str):
            owner, _, member = chosen.rpartition(".")
            if owner != enum.__name__ and owner.endswith("_Weights"):
                raise TypeError(f"expected a member of {enum.__name__}, got {chosen!r}")
            if owner in ("", enum.__name__):
                chosen = enum.__members__.get(member, chosen)
        if not isinstance(chosen, (str, Path)):
            chosen = enum.verify(chosen)
        if isinstance(chosen, enum):
            chosen = chosen.meta["name"]
        return create_model(name, num_classes=num_classes, in_channels=in_channels, dropout=dropout, weights=chosen)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = (
        f"{name}, see `mvdet.create_model`; `weights` is a member of {enum.__name__}, or what that takes. "
        "`progress` is torchvision's and changes nothing, see `MobileViTWeights.get_state_dict`."
    )
    return build


def _weights_enum(name: str) -> type[MobileViTWeights]:
    """One member a published classifier, and DEFAULT, which is the first of them."""
    entries = [e for e in manifest().values() if e.variant == name and e.task == "classification"]
    members = {entry.tag.upper(): _weights(entry) for entry in entries}
    members["DEFAULT"] = next(iter(members.values()))
    family, _, size = name.partition("_")
    title = {"mobilevit": "MobileViT", "mobilevitv2": "MobileViTV2"}[family]
    return MobileViTWeights(f"{title}_{size.upper()}_Weights", members, module=__name__)


def _weights(entry: PublishedWeights) -> Weights:
    preprocessing = entry.preprocessing
    return Weights(
        url=places(entry)[0][0],
        # Converted weights expect RGB in [0, 1], whatever the file's own network was fed.
        transforms=partial(
            ImageClassification,
            crop_size=preprocessing["crop"],
            resize_size=preprocessing["resize"],
            interpolation=InterpolationMode(preprocessing["interpolation"]),
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
        ),
        meta={
            "name": entry.name,
            "architecture": entry.variant,
            "publisher": entry.publisher,
            "num_params": VARIANTS[entry.variant].num_params,
            "min_size": (1, 1),
            "categories": ResNet18_Weights.DEFAULT.meta["categories"],
            "recipe": entry.metric["source"],
            "licence": dict(entry.licence),
            "preprocessing": {**preprocessing, "channel_order": entry.channel_order},
            "_metrics": {entry.dataset: {entry.metric["name"]: entry.value}},
            "_docs": f"{entry.name}, published by {entry.publisher}.",
        },
    )


register()
