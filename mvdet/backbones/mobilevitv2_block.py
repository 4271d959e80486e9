"""MobileViTv2: separable self-attention with a cost linear in the pixels (arXiv:2206.02680, section 3.1)."""

from torch import Tensor, nn
from torch.nn import functional as F

from mvdet.backbones.layers import ConvNormAct, SiLU
from mvdet.backbones.tokens import join_positions, split_positions, stretch_to_even


class LinearAttention(nn.Module):
    """Separable self-attention among the pixels at one position of their patches, [B, C, 4, N] -> [B, C, 4, N].

    Each of the four positions has one context vector: the mean of its N pixels' keys, weighted by a softmax over them.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.qkv = nn.Conv2d(dim, 1 + 2 * dim, 1)
        self.proj = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, 4, N] -> [B, C, 4, N]."""
        qkv = self.qkv(x).permute(0, 2, 3, 1)  # [B, 4, N, 1+2C], a view in channels_last
        query, key, value = qkv.split((1, self.dim, self.dim), dim=-1)
        scores = query.transpose(2, 3).softmax(dim=-1)  # [B, 4, 1, N]
        context = scores @ key  # [B, 4, 1, N] x [B, 4, N, C] -> [B, 4, 1, C]
        out: Tensor = self.proj((F.relu(value) * context).permute(0, 3, 1, 2))
        return out


class LinearTransformerLayer(nn.Module):
    """Pre-norm layer of separable attention and a 1x1-convolution feed-forward network, [B, C, 4, N] -> same."""

    def __init__(self, dim: int, *, ffn_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(1, dim)
        self.attn = LinearAttention(dim)
        self.norm2 = nn.GroupNorm(1, dim)
        self.ffn = nn.Sequential(nn.Conv2d(dim, ffn_dim, 1), SiLU(), nn.Conv2d(ffn_dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, 4, N] -> [B, C, 4, N]."""
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
        height, width = x.shape[-2:]
        x = self.transformer(split_positions(self.local_proj(self.local_conv(x))))
        x = self.project(join_positions(self.norm(x), height, width))
        return x
