"""The module behind `[-1, 1, MobileViT, [mobilevit_s]]`. Its path is part of every checkpoint: it stays."""

from typing import Any

from torch import Tensor, nn

from mvdet.checkpoints.weights import WeightsLike, choose_variant
from mvdet.models.backbone import create_backbone


class MobileViT(nn.Module):
    """A backbone row of an ultralytics model definition: images to a list of maps, for `Index` rows to pick from.

    Args:
        name: one of `mvdet.list_backbones()`, or "auto" for the one that the weights are of.
        weights: as `mvdet.create_backbone` takes them: a published name, the path of a file or folder, an opened file,
            or None. The module does not keep them.
        options: further arguments of `mvdet.create_backbone`: `out_strides`, `output_stride`, `in_channels`,
            `expand_output`.

    Raises:
        ValueError: for an unknown name or option value, or weights of another network.
        FileNotFoundError: if `weights` is no name, file or folder.
        ConnectionError: if published weights must be downloaded and cannot be.
    """

    def __init__(self, name: str, weights: WeightsLike | None = None, options: dict[str, Any] | None = None) -> None:
        super().__init__()
        self.name, weights = choose_variant(name, weights)
        self.backbone = create_backbone(self.name, weights=weights, **(options or {}))

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each map."""
        return self.backbone.channels

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride of each map."""
        return self.backbone.strides

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, C, H, W] -> one map a level, finest first."""
        maps: list[Tensor] = self.backbone(images)
        return maps

    def fuse(self) -> None:
        """Fold batch normalisation into the convolutions, for inference."""
        self.backbone.fuse()
