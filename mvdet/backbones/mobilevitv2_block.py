"""MobileViTv2: separable self-attention with a cost linear in the pixels (arXiv:2206.02680, section 3.1)."""

import torch
from torch import Tensor, nn

from mvdet.backbones.layers import ConvNormAct, SiLU
from mvdet.backbones.tokens import split_patches, stretch_to_even


class LinearAttention(nn.Module):
    """Separable self-attention on a map of even size, [B, C, H, W] -> [B, C, H, W].

    Each of the four positions in the 2x2 patches has one context vector: the mean of its pixels' keys, weighted by a
    softmax over its pixels. No patches are formed: the four softmaxes run over strided views of the one-channel query
    map, and one [4, H*W] x [H*W, C] product per image sums the keys, so the keys and values are never rearranged.
    """

    position_mask: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.qkv = nn.Conv2d(dim, 1 + 2 * dim, 1)
        self.proj = nn.Conv2d(dim, dim, 1)
        self.register_buffer("position_mask", torch.eye(4), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W], H and W even."""
        qkv = self.qkv(x).permute(0, 2, 3, 1)  # [B, 1+2C, H, W] -> [B, H, W, 1+2C], a view in channels_last
        patches = split_patches(qkv)  # [B, h, 2, w, 2, 1+2C], a view
        # In place: the keys keep this storage alive for the backward pass anyway.
        value = patches[..., 1 + self.dim :].relu_()
        query, key = patches[..., :1], patches[..., 1 : 1 + self.dim]
        batch, rows, _, cols, _, _ = query.shape
        # [B, h, 2, w, 2, 1] -> [B, 2, 2, h*w] -> softmax -> [B, h, 2, w, 2]
        scores = query.squeeze(-1).permute(0, 2, 4, 1, 3).flatten(3).softmax(dim=-1)
        scores = scores.reshape(batch, 2, 2, rows, cols).permute(0, 3, 1, 4, 2)
        # A position's weights are zero at the other three: [B, 4, h, 2, w, 2] -> [B, 4, H*W]
        scores = (scores.unsqueeze(1) * self.position_mask.view(4, 1, 2, 1, 2)).flatten(2)
        context = scores @ key.flatten(1, 4)  # [B, 4, H*W] x [B, H*W, C] -> [B, 4, C]
        out: Tensor = value * context.unflatten(1, (1, 2, 1, 2))  # [B, h, 2, w, 2, C]
        out = self.proj(out.flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2))
        return out


class LinearTransformerLayer(nn.Module):
    """Pre-norm layer of separable attention and a 1x1-convolution feed-forward network, [B, C, H, W] -> same."""

    def __init__(self, dim: int, *, ffn_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(1, dim)
        self.attn = LinearAttention(dim)
        self.norm2 = nn.GroupNorm(1, dim)
        self.ffn = nn.Sequential(nn.Conv2d(dim, ffn_dim, 1), SiLU(), nn.Conv2d(ffn_dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W], H and W even."""
        x = x + self.attn(self.norm1(x))
        x = x + self.ffn(self.norm2(x))
        return x


class MobileViTv2Block(nn.Module):
    """[B, C, H, W] -> [B, C, H', W'], H' and W' rounded up to even as in Apple's implementation; no fusion convolution.

    Args:
        channels: channels of the map.
        attention_dim: transformer width.
        depth: transformer layers.
        ffn_ratio: feed-forward width relative to `attention_dim`.
        dilation: dilation of the depthwise 3x3 convolution.
    """

    def __init__(self, channels: int, *, attention_dim: int, depth: int, ffn_ratio: int, dilation: int) -> None:
        super().__init__()
        self.local_conv = ConvNormAct(channels, channels, 3, dilation=dilation, groups=channels)
        self.local_proj = nn.Conv2d(channels, attention_dim, 1, bias=False)
        self.transformer = nn.Sequential(
            *(LinearTransformerLayer(attention_dim, ffn_dim=ffn_ratio * attention_dim) for _ in range(depth))
        )
        self.norm = nn.GroupNorm(1, attention_dim)
        self.project = ConvNormAct(attention_dim, channels, 1, act=None)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H', W'], each side rounded up to even."""
        x = stretch_to_even(x, align_corners=True)
        x = self.transformer(self.local_proj(self.local_conv(x)))
        x = self.project(self.norm(x))
        return x
