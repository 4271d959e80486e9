"""Batch normalisation over the images of all processes, on any device: PyTorch's own needs a GPU."""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm


class SyncBatchNorm2d(_BatchNorm):
    """`nn.SyncBatchNorm` for processes on CPUs; the same parameters and buffers as `nn.BatchNorm2d`."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() != 4:
            raise ValueError(f"expected a batch of maps [B, C, H, W], got {list(input.shape)}")

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> the same, normalised by the mean and variance of all processes in training mode."""
        self._check_input_dim(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)
        count = x.new_tensor([x.numel() / x.shape[1]])
        sums = torch.cat([x.sum(dim=(0, 2, 3)), x.square().sum(dim=(0, 2, 3)), count])
        totals: Tensor = all_reduce(sums)
        channels = x.shape[1]
        mean = totals[:channels] / totals[-1]
        var = (totals[channels:-1] / totals[-1] - mean.square()).clamp(min=0)
        with torch.no_grad():
            unbiased = var * totals[-1] / (totals[-1] - 1)
            self.running_mean.lerp_(mean, self.momentum or 0.1)
            self.running_var.lerp_(unbiased, self.momentum or 0.1)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        scale: Tensor = self.weight * (var + self.eps).rsqrt()
        return x * scale.view(1, -1, 1, 1) + (self.bias - mean * scale).view(1, -1, 1, 1)


def synchronise(module: nn.Module) -> nn.Module:
    """Replace every `nn.BatchNorm2d` inside `module`, in place; without other processes nothing is replaced."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return module
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, _like(child))
    return module


def _like(norm: nn.BatchNorm2d) -> SyncBatchNorm2d:
    twin = SyncBatchNorm2d(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
    twin.load_state_dict(norm.state_dict())
    for name, parameter in twin.named_parameters():
        parameter.requires_grad_(norm.get_parameter(name).requires_grad)
    return twin.to(norm.weight.device).train(norm.training)
