"""The other implementations of MobileViT, with mvdet's beside them."""

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mvdet.backbones import VARIANTS, MobileViTBackbone
from mvdet.checkpoints import convert_state_dict
from mvdet.models.backbone import create_backbone

LEVELS = (2, 4, 8, 16, 32)
_Module = TypeVar("_Module", bound=nn.Module)


def timm_pair(variant: str) -> tuple[MobileViTBackbone, nn.Module]:
    """Mvdet's and timm's pyramid with the same weights, all five levels, v1 with its expansion as timm has it."""
    import timm  # optional, and takes seconds to import

    whole = as_trained(timm.create_model(variant))
    theirs = timm.create_model(variant, features_only=True)
    theirs.load_state_dict(
        {k.replace("stages.", "stages_", 1): v for k, v in whole.state_dict().items() if not k.startswith("head.")}
    )
    ours = all_levels(variant)
    ours.load_state_dict(convert_state_dict(whole.state_dict(), to=ours, source="timm"))
    return ours, theirs


def all_levels(variant: str) -> MobileViTBackbone:
    """Mvdet's pyramid of five levels, v1 with its expansion, as timm has it; not fused, random weights."""
    return as_trained(create_backbone(variant, out_strides=LEVELS, expand_output=VARIANTS[variant].expand_channels > 0))


def as_trained(model: _Module) -> _Module:
    """Random weights under which a signal does not die out, as under trained ones; returns the model.

    With transformers' own initialisation the last maps of a network that is not trained are denormal numbers, which
    processors are slow with: no fair rival. Its maps still shrink with these weights, but stay normal numbers.
    """
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return model


class ChannelsLast(nn.Module):
    """A network in channels_last memory, whose images are laid out likewise.

    Args:
        network: maps images to a list of maps; moved in place.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, C, H, W] -> the network's maps."""
        maps: list[Tensor] = self.network(images.contiguous(memory_format=torch.channels_last))
        return maps


def transformers_config(variant: str, **options: Any) -> Any:
    """Transformers' configuration of a variant; `options` are further arguments of it."""
    import transformers  # optional, and takes seconds to import

    spec = VARIANTS[variant]
    if spec.version == 2:
        return transformers.MobileViTV2Config(width_multiplier=spec.stem_channels / 32, **options)
    return transformers.MobileViTConfig(
        neck_hidden_sizes=[spec.stem_channels, *(s.out_channels for s in spec.stages), spec.expand_channels],
        hidden_sizes=[s.attention_dim for s in spec.stages if s.depth],
        expand_ratio=float(spec.expand_ratio),
        **options,
    )


class TransformersBackbone(nn.Module):
    """transformers' network without a head, with random weights; gives the map of each stage.

    Args:
        variant: name of the backbone.
    """

    def __init__(self, variant: str) -> None:
        super().__init__()
        import transformers  # optional, and takes seconds to import

        self.network = as_trained(transformers.AutoModel.from_config(transformers_config(variant)))

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] -> the map of each stage."""
        return list(self.network(images, output_hidden_states=True).hidden_states)


def relative_difference(actual: list[Tensor], wanted: list[Tensor]) -> float:
    """The largest difference over all maps, each relative to the map's largest value.

    Raises:
        ValueError: the maps differ in number.
    """
    pairs = zip(actual, wanted, strict=True)
    return max(float((x - y).abs().max() / y.abs().max()) for x, y in pairs)
