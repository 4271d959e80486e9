"""Models by name."""

from pathlib import Path

from mvdet.backbones.registry import unknown_name_message
from mvdet.backbones.variants import VARIANTS
from mvdet.models.classifier import MobileViTClassifier


def list_models() -> list[str]:
    """Names that `create_model` takes."""
    return list(VARIANTS)


def create_model(
    name: str,
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    dropout: float | None = None,
    weights: str | Path | None = None,
) -> MobileViTClassifier:
    """A classification network, under its backbone's name.

    Args:
        name: one of `list_models()`.
        num_classes: classes.
        in_channels: channels of the images.
        dropout: probability before the classifier; None takes the published one.
        weights: path of a checkpoint of the same network, or None for random weights.

    Raises:
        ValueError: for an unknown name or weights of another network.
        FileNotFoundError: if `weights` is not a file.
    """
    if name not in VARIANTS:
        raise ValueError(unknown_name_message("model", name, list_models()))
    model = MobileViTClassifier(VARIANTS[name], num_classes=num_classes, in_channels=in_channels, dropout=dropout)
    if weights is not None:
        from mvdet.checkpoints import load_weights

        load_weights(model, weights)
    return model
