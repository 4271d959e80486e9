"""ImageNet-style classification."""

from typing import Self

from torch import Tensor, nn

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.variants import VariantSpec
from mvdet.models.freezing import Freezing


class MobileViTClassifier(nn.Module):
    """Backbone, global average pool, dropout, linear layer: [B, in_channels, H, W] -> logits [B, num_classes].

    v1 pools its final 1x1 expansion, v2 the map at stride 32.

    Args:
        spec: the network.
        num_classes: classes, 1000 for the published weights.
        in_channels: channels of the images.
        dropout: probability before the linear layer; None takes the published one (0.1 in v1, 0 in v2).
        freeze: leave the backbone as it is.
        freeze_batch_norm: leave the backbone's batch normalisation as it is.

    Raises:
        ValueError: if `num_classes` is below 1.
    """

    def __init__(
        self,
        spec: VariantSpec,
        *,
        num_classes: int = 1000,
        in_channels: int = 3,
        dropout: float | None = None,
        freeze: bool = False,
        freeze_batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, got {num_classes}")
        self.backbone = MobileViTBackbone(
            spec, out_strides=(32,), in_channels=in_channels, expand_output=spec.expand_channels > 0
        )
        self.dropout = nn.Dropout(spec.classifier_dropout if dropout is None else dropout)
        self.head = nn.Linear(self.backbone.channels[-1], num_classes)
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self._freezing = Freezing(self.backbone, whole=freeze, batch_norm=freeze_batch_norm)

    def train(self, mode: bool = True) -> Self:
        """As `nn.Module.train`; what is frozen stays in evaluation mode."""
        super().train(mode)
        self._freezing.apply(self.backbone)
        return self

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, H, W], RGB in [0, 1] -> [B, num_classes]."""
        logits: Tensor = self.head(self.dropout(self.backbone.forward_last(images).mean(dim=(-2, -1))))
        return logits

    def fuse(self) -> Self:
        """Fold batch normalisation into the convolutions, in place, for inference; returns the model."""
        self.backbone.fuse()
        return self
