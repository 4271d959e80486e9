"""MobileViT v1: local convolution, multi-head attention over 2x2 patches, fusion (arXiv:2110.02178, section 3.1)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mvdet.backbones.layers import ConvNormAct, SiLU
from mvdet.backbones.tokens import join_positions, resize_to, split_positions, stretch_to_even


class Attention(nn.Module):
    """Multi-head self-attention, [B, N, C] -> [B, N, C]."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, C]."""
        # Chunks, not one permuted view: their gradients are joined by one concatenation, without a transposition.
        q, k, v = (
            part.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)  # [B, N, C] -> [B, heads, N, C/heads]
            for part in self.qkv(x).chunk(3, dim=-1)
        )
        out: Tensor = F.scaled_dot_product_attention(q, k, v)
        out = self.proj(out.transpose(1, 2).flatten(2))  # [B, heads, N, C/heads] -> [B, N, C]
        return out


class TransformerLayer(nn.Module):
    """Pre-norm transformer layer, [B, N, C] -> [B, N, C]."""

    def __init__(self, dim: int, *, num_heads: int, ffn_dim: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn_dim), SiLU(), nn.Linear(ffn_dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, C]."""
        x = x + self.attn(self.norm1(x))
        x = x + self.ffn(self.norm2(x))
        return x


class MobileViTBlock(nn.Module):
    """[B, C, H, W] -> [B, C, H, W]: attention among the pixels that share a position in their 2x2 patch.

    The map is kept in channels_last memory, so tokens are made by one permutation and undone by one; everything between
    works on contiguous [B * 4, H * W / 4, dim] tokens. Its 3x3 convolution is not dilated, whatever the output stride.

    Args:
        channels: channels of the map.
        attention_dim: transformer width.
        depth: transformer layers.
        num_heads: attention heads.
        ffn_ratio: feed-forward width relative to `attention_dim`.
    """

    def __init__(self, channels: int, *, attention_dim: int, depth: int, num_heads: int, ffn_ratio: int) -> None:
        super().__init__()
        self.local_conv = ConvNormAct(channels, channels, 3)
        self.local_proj = nn.Conv2d(channels, attention_dim, 1, bias=False)
        self.transformer = nn.Sequential(
            *(
                TransformerLayer(attention_dim, num_heads=num_heads, ffn_dim=ffn_ratio * attention_dim)
                for _ in range(depth)
            )
        )
        self.norm = nn.LayerNorm(attention_dim)
        self.project = ConvNormAct(attention_dim, channels, 1)
        self.fusion = ConvNormAct(2 * channels, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C, H, W]."""
        height, width = x.shape[-2:]
        local = stretch_to_even(self.local_proj(self.local_conv(x)), align_corners=False)
        even_height, even_width = local.shape[-2:]
        positions = split_positions(local).permute(0, 2, 3, 1)  # [B, dim, H, W] -> [B, 4, N, dim]
        tokens = self.norm(self.transformer(positions.flatten(0, 1)))  # [B * 4, N, dim]
        out = join_positions(tokens.reshape(positions.shape).permute(0, 3, 1, 2), even_height, even_width)
        out = self.project(resize_to(out, height, width, align_corners=False))
        fused: Tensor = self.fusion(torch.cat((x, out), dim=1))
        return fused
