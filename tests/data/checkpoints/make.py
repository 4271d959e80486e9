"""What `mvdet-0.1.0.pt.xz` was made with: every class of ours that a checkpoint may hold, and what it computes.

    git worktree add /tmp/before 98452d9
    PYTHONPATH=/tmp/before python tests/data/checkpoints/make.py mvdet-0.1.0.pt && xz -9e mvdet-0.1.0.pt

The networks are tiny, and their weights take few values, and one for all inputs of a channel: the file stays small.
"""

import dataclasses
import sys

import torch
from torch import nn

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.variants import VARIANTS
from mvdet.yolo.deeplabv3 import DeepLabV3SemanticSegment
from mvdet.yolo.modules import MobileViT
from mvdet.yolo.ssdlite import SSDLiteDetect

GENERATOR = torch.Generator().manual_seed(0)


def tiny(variant: str) -> MobileViT:
    """A row of a model definition whose backbone is one of the variants, but narrow and shallow."""
    spec = VARIANTS[variant]
    stages = tuple(
        dataclasses.replace(stage, out_channels=8 * (2 + i), attention_dim=8, depth=1)
        if stage.depth
        else dataclasses.replace(stage, out_channels=8 * (2 + i))
        for i, stage in enumerate(spec.stages)
    )
    row = MobileViT.__new__(MobileViT)
    nn.Module.__init__(row)
    row.name = variant
    expand = 16 if spec.expand_channels else spec.expand_channels
    spec = dataclasses.replace(spec, stem_channels=8, stages=stages, expand_channels=expand)
    row.backbone = MobileViTBackbone(spec, out_strides=(16, 32))
    return row


def few_values(shape: torch.Size | tuple[int, ...]) -> torch.Tensor:
    """Random multiples of 1/4 from -1 to 1."""
    return torch.randint(-4, 5, shape, generator=GENERATOR) / 4


def fill(module: nn.Module) -> None:
    """Weights and statistics under which everything matters and nothing explodes."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.ndim == 1:
                parameter.data = 1 + 0.1 * few_values(parameter.shape)
            else:
                values = few_values(parameter.shape[:1]) * 3 / parameter[0].numel()
                parameter.data = values.view(-1, *[1] * (parameter.ndim - 1)).expand(parameter.shape)
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.copy_(few_values(layer.running_mean.shape) / 4)
                layer.running_var.copy_(1 + few_values(layer.running_var.shape) / 2)


def main() -> None:
    """Write the checkpoint: `model`, the networks by name, and `outputs`, what each gives for `linspace` images."""
    v1, v2 = tiny("mobilevit_xxs"), tiny("mobilevitv2_050")
    ssdlite, deeplabv3 = SSDLiteDetect(2, v1.channels), DeepLabV3SemanticSegment(3, v1.channels, 8, 32)
    ssdlite.stride, deeplabv3.stride = torch.tensor([16.0, 32.0]), torch.tensor([32.0])
    model = nn.ModuleDict({"v1": v1, "v2": v2, "ssdlite": ssdlite, "deeplabv3": deeplabv3}).eval()
    fill(model)
    images = torch.linspace(0, 1, 3 * 64 * 32).view(1, 3, 64, 32)
    with torch.no_grad():
        maps = v1(images)
        outputs = {
            "v1": maps,
            "v2": v2(images),
            "ssdlite": ssdlite(maps)[0],
            "deeplabv3": deeplabv3(maps)[..., ::8, ::8],
        }
    torch.save({"model": model, "outputs": outputs}, sys.argv[1])


if __name__ == "__main__":
    main()
