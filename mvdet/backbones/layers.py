"""Convolutional building blocks shared by both MobileViT versions."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm  # SyncBatchNorm's base too

from mvdet.backbones.tokens import exporting

# Checkpoints of earlier versions name these classes.
Conv2d = nn.Conv2d
Linear = nn.Linear


class SiLU(nn.Module):
    """`x * sigmoid(x)`, in place when neither a gradient nor a graph is recorded.

    In place saves an allocation of the feature map in inference; in training autograd would have to clone its input,
    and not every runtime takes a graph that overwrites values.
    A class of our own, because ultralytics sets `inplace=True` on every `nn.SiLU`.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, any floating-point type; the same."""
        return F.silu(x, inplace=not (torch.is_grad_enabled() or exporting()))


class BatchNorm2d(nn.BatchNorm2d):
    """PyTorch's, under a name of its own.

    ultralytics sets eps = 1e-3 and momentum = 0.03 on whatever is exactly `nn.BatchNorm2d`; the published weights were
    trained with 1e-5 and give other numbers with anything else.
    """


class ConvNormAct(nn.Module):
    """Convolution without bias, batch normalisation, activation: [B, Cin, H, W] -> [B, Cout, ceil(H/s), ceil(W/s)].

    Args:
        in_channels: input channels.
        out_channels: output channels.
        kernel_size: odd kernel size; the padding keeps ceil(size / stride) at every dilation.
        stride: convolution stride.
        dilation: convolution dilation.
        groups: convolution groups.
        act: class of the activation that follows, None for none.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        act: type[nn.Module] | None = SiLU,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel_size - 1) // 2
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, dilation=dilation, groups=groups, bias=False
        )
        self.norm: nn.Module = BatchNorm2d(out_channels)
        self.act: nn.Module = nn.Identity() if act is None else act()

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, ceil(H / stride), ceil(W / stride)]."""
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out

    @torch.no_grad()
    def fuse(self) -> None:
        """Fold the batch normalisation's running statistics into the convolution, in place; for inference only."""
        norm = self.norm
        if not isinstance(norm, _BatchNorm):
            return
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        bias = torch.addcmul(norm.bias, norm.running_mean, scale, value=-1)
        self.conv.weight.mul_(
            scale.view(-1, 1, 1, 1)
        )  # in place: the weight keeps its layout, which decides the kernel
        self.conv.bias = nn.Parameter(bias, requires_grad=self.conv.weight.requires_grad)
        self.norm = nn.Identity()


class InvertedResidual(nn.Module):
    """MobileNetV2's block: 1x1 expansion, depthwise 3x3, linear 1x1 projection; a skip where the shapes agree.

    Args:
        in_channels: input channels.
        out_channels: output channels.
        stride: stride of the depthwise convolution, 1 or 2.
        expand_ratio: hidden channels as a multiple of `in_channels`.
        dilation: dilation of the depthwise convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, expand_ratio: int, dilation: int) -> None:
        super().__init__()
        hidden = in_channels * expand_ratio
        self.expand = ConvNormAct(in_channels, hidden, 1)
        self.depthwise = ConvNormAct(hidden, hidden, 3, stride=stride, dilation=dilation, groups=hidden)
        self.project = ConvNormAct(hidden, out_channels, 1, act=None)
        self.has_skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, out_channels, ceil(H / stride), ceil(W / stride)]."""
        out: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + out if self.has_skip else out
