"""Models by name."""

from pathlib import Path
from typing import Literal

from mvdet.backbones.registry import resolve_name, unknown_name_message
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
    head: Literal["load", "skip"] = "load",
) -> MobileViTClassifier:
    """A classification network, under its backbone's name.

    Args:
        name: one of `list_models()`, or "auto" for the one that the weights (a file or a folder) are of.
        num_classes: classes.
        in_channels: channels of the images.
        dropout: probability before the classifier; None takes the published one.
        weights: "DEFAULT", "apple", "timm", "transformers" or another published name of `weights/manifest.yaml`; the
            path of a weights file or folder of any of these sources; None for random weights.
        head: "load" the weights' classifier, or "skip" it and keep a new one, for another number of classes.

    Raises:
        ValueError: for an unknown name or weights of another network.
        FileNotFoundError: if `weights` is no name, file or folder.
        ConnectionError: if published weights must be downloaded and cannot be.
    """
    name = resolve_name(name, weights)
    if name not in VARIANTS:
        raise ValueError(unknown_name_message("model", name, list_models()))
    model = MobileViTClassifier(VARIANTS[name], num_classes=num_classes, in_channels=in_channels, dropout=dropout)
    if weights is not None:
        from mvdet.checkpoints import load_weights

        load_weights(model, weights, head=head)
    return model
