"""Convolutional building blocks shared by both MobileViT versions."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm  # SyncBatchNorm's base too

from mvdet.backbones.packing import Packable
from mvdet.backbones.tokens import exporting

_SLICE_BYTES = 8 * 2**20  # of 1 to 16 MiB, 8 was the fastest on two Zen 4 cores with 1 MiB of L2 each; on one, 4
_ONEDNN_ELEMENTS = 100_000  # of a map; in smaller ones the two kernels differ by less than a tenth, either way


class SiLU(nn.Module):
    """`x * sigmoid(x)`, in place when no gradient is recorded.

    In place saves an allocation of the feature map in inference; in training autograd would have to clone its input,
    which costs more than it saves. A class of our own, because ultralytics sets `inplace=True` on every `nn.SiLU`.
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(x, inplace=not torch.is_grad_enabled())


class BatchNorm2d(nn.BatchNorm2d):
    """PyTorch's, under a name of its own.

    ultralytics sets eps = 1e-3 and momentum = 0.03 on whatever is exactly `nn.BatchNorm2d`; the published weights were
    trained with 1e-5 and give other numbers with anything else.
    """


class Conv2d(Packable, nn.Conv2d):
    """PyTorch's, with a packed weight once it is fused, and large maps on a CPU computed by oneDNN on one thread, too.

    On one thread, to which ultralytics limits PyTorch on two cores, PyTorch gives 1x1 kernels to code of its own that
    writes the bias to the whole map before it adds the products. Dilation, which is nothing to such a kernel, rules
    that code out: single layers take 0.4 to 0.98 of the time, pyramids 0.79 to 1.04 (0.92 in the mean of four
    variants at 160, 320 and 640 pixels), training steps 0.90 to 0.97.
    """

    def forward(self, input: Tensor) -> Tensor:
        packed = self.packed_weight(input) if self.packs else None
        if packed is None:
            return self.convolve(input, self.weight, self.bias)
        return torch.ops.mkldnn._convolution_pointwise(input, packed, self.bias, *self._geometry, "none", [], "")

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """`forward` with another weight and bias of the same shapes."""
        dilation = (2, 2) if self._is_pointwise_for_onednn(x) else self.dilation
        return F.conv2d(x, weight, bias, self.stride, self.padding, dilation, self.groups)

    @property
    def _geometry(self) -> tuple[Any, ...]:
        return self.padding, self.stride, self.dilation, self.groups

    def _packed_shape(self, x: Tensor) -> torch.Size:
        # A copy for another shape is right, too, but may leave none but oneDNN's slowest kernel: 12 times the time
        return x.shape

    def _reorder(self, weight: Tensor, shape: torch.Size | None) -> Tensor:
        return torch.ops.mkldnn._reorder_convolution_weight(weight, *self._geometry, shape)

    def _is_pointwise_for_onednn(self, x: Tensor) -> bool:
        return (
            self.kernel_size == (1, 1)
            and x.device.type == "cpu"
            and not (exporting() or torch.compiler.is_compiling())
            and x.numel() > _ONEDNN_ELEMENTS
        )


class Linear(Packable, nn.Linear):
    """PyTorch's, with a packed weight once it is fused."""

    def forward(self, input: Tensor) -> Tensor:
        packed = self.packed_weight(input) if self.packs else None
        if packed is None:
            return super().forward(input)
        return torch.ops.mkldnn._linear_pointwise(input, packed, self.bias, "none", [], "")

    def _packed_shape(self, x: Tensor) -> None:
        return None  # any number of tokens is as fast

    def _reorder(self, weight: Tensor, shape: torch.Size | None) -> Tensor:
        return torch.ops.mkldnn._reorder_linear_weight(weight)


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
        self.conv = Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, dilation=dilation, groups=groups, bias=False
        )
        self.norm: nn.Module = BatchNorm2d(out_channels)
        self.act: nn.Module = nn.Identity() if act is None else act()

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.norm, _BatchNorm) and self._folds(self.norm):
            # Folding a few thousand weights is cheaper than another pass over the map: at batch 8, 320 pixels, a
            # pyramid takes 0.7 to 0.9 of the time that it takes with the normalisation run on its own.
            return self.act(self.conv.convolve(x, *self._folded(self.norm)))
        return self.act(self.norm(self.conv(x)))

    @torch.no_grad()
    def fuse(self) -> None:
        """Fold the batch normalisation's running statistics into the convolution for good; for inference only."""
        if isinstance(self.norm, _BatchNorm):
            weight, bias = self._folded(self.norm)
            self.conv.weight.copy_(weight)  # in place: the weight keeps its layout, which decides the kernel
            self.conv.bias = nn.Parameter(bias, requires_grad=self.conv.weight.requires_grad)
            self.norm = nn.Identity()

    @property
    def needs_whole_map(self) -> bool:
        """Whether maps cannot go through in parts: their statistics are taken, or a hook looks at them."""
        if isinstance(self.norm, _BatchNorm) and self.norm.training:
            return True
        return any(module._forward_hooks or module._forward_pre_hooks for module in self.modules())

    def _folds(self, norm: _BatchNorm) -> bool:
        """Whether this call may do the work of both in one: inference, and nobody watches or has replaced either."""
        conv = self.conv
        return (
            not (norm.training or torch.is_grad_enabled() or exporting())
            and type(conv) is Conv2d
            and not (conv._forward_hooks or conv._forward_pre_hooks or norm._forward_hooks or norm._forward_pre_hooks)
        )

    def _folded(self, norm: _BatchNorm) -> tuple[Tensor, Tensor]:
        """Weight and bias of the one convolution that does the work of both."""
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        return self.conv.weight * scale.view(-1, 1, 1, 1), torch.addcmul(norm.bias, norm.running_mean, scale, value=-1)


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
        # In training the maps are kept anyway; a recorded graph must not depend on the size.
        if torch.is_grad_enabled() or x.device.type != "cpu" or exporting() or torch.compiler.is_compiling():
            return self._block(x)
        return self._in_parts(x)

    def _block(self, x: Tensor) -> Tensor:
        out = self.project(self.depthwise(self.expand(x)))
        if not self.has_skip:
            return out
        return out + x if torch.is_grad_enabled() else out.add_(x)

    def _in_parts(self, x: Tensor) -> Tensor:
        """As `_block`, a few images at a time, or a few rows of one image.

        On a CPU, a large expanded map falls out of the cache between one layer and the next, and from 32 MiB on glibc
        fetches its memory from the system anew each time. In parts, pyramids take 0.76 (mobilevit_s) and 0.84
        (mobilevitv2_100) of the time at batch 8, 320 pixels, on two cores; `yolo predict` of one image at 640 pixels
        takes 0.81 and 1.00 on one.
        """
        height, width = x.shape[2:]
        rows = _SLICE_BYTES // max(1, width * self.expand.conv.out_channels * x.element_size())
        layers = (self.expand, self.depthwise, self.project)
        if rows >= len(x) * height or any(layer.needs_whole_map for layer in layers):
            return self._block(x)
        if rows >= height:
            return torch.cat([self._block(images) for images in x.split(rows // height)])
        stride = self.depthwise.conv.stride[0]
        step = max(1, rows // stride)
        starts = range(0, (height + stride - 1) // stride, step)
        return torch.cat([torch.cat([self._rows(image, a, a + step) for a in starts], 2) for image in x.split(1)])

    def _rows(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` of `_block`'s result, from those rows of `x` that they depend on."""
        stride, reach = self.depthwise.conv.stride[0], self.depthwise.conv.dilation[0]
        first = max(0, start - (reach + stride - 1) // stride)  # of the rows that the strip can give
        strip = x[:, :, first * stride : (stop - 1) * stride + reach + 1]
        # Its outermost rows come from padding where the map goes on: they are not among those wanted.
        out = self.project(self.depthwise(self.expand(strip))[:, :, start - first : stop - first])
        return out.add_(x[:, :, start:stop]) if self.has_skip else out


def fuse(network: nn.Module) -> None:
    """Fold every batch normalisation of `ConvNormAct` into its convolution and pack all weights, in place.

    For inference only. The running statistics are used whatever the mode.
    """
    for module in network.modules():
        if isinstance(module, ConvNormAct):
            module.fuse()
        elif isinstance(module, Packable):
            module.pack()
