"""The blocks against the formulas of the papers, written plainly."""

import pytest
import torch
from torch.nn import functional as F

from mvdet.backbones.layers import ConvNormAct
from mvdet.backbones.mobilevit_block import Attention
from mvdet.backbones.mobilevitv2_block import LinearAttention
from mvdet.backbones.tokens import join_positions, split_positions

SIZES = [(2, 4), (4, 6), (10, 8)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_positions_are_those_of_apples_unfolding(size: tuple[int, int], memory_format: torch.memory_format) -> None:
    x = torch.randn(3, 5, *size).contiguous(memory_format=memory_format)
    positions = split_positions(x)
    assert torch.equal(positions, F.unfold(x, 2, stride=2).unflatten(1, (5, 4)))
    assert positions.is_contiguous(memory_format=torch.channels_last)
    joined = join_positions(positions, *size)
    assert torch.equal(joined, x)
    assert joined.is_contiguous(memory_format=torch.channels_last)


def test_linear_attention_is_the_papers() -> None:
    attention = LinearAttention(16)
    x = torch.randn(3, 16, 4, 15)
    # equations 1 to 3 of arXiv:2206.02680
    query, key, value = F.conv2d(x, attention.qkv.weight, attention.qkv.bias).split((1, 16, 16), dim=1)
    context = (key * query.softmax(-1)).sum(-1, keepdim=True)
    wanted = F.conv2d(F.relu(value) * context, attention.proj.weight, attention.proj.bias)
    torch.testing.assert_close(attention(x.contiguous(memory_format=torch.channels_last)), wanted)


def test_attention_is_softmax_of_scaled_products() -> None:
    attention = Attention(24, num_heads=4)
    x = torch.randn(2, 5, 24)
    query, key, value = attention.qkv(x).view(2, 5, 3, 4, 6).permute(2, 0, 3, 1, 4)
    weights = (query @ key.transpose(-1, -2) / 6**0.5).softmax(-1)
    wanted = attention.proj((weights @ value).transpose(1, 2).reshape(2, 5, 24))
    torch.testing.assert_close(attention(x), wanted)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2, 4])
@pytest.mark.parametrize("size", [7, 8])
def test_convolution_rounds_sizes_up(stride: int, dilation: int, size: int) -> None:
    block = ConvNormAct(4, 4, 3, stride=stride, dilation=dilation)
    assert block(torch.rand(2, 4, size, size)).shape[-1] == -(-size // stride)


def test_fused_convolution_is_trainable_or_frozen_as_before() -> None:
    for trainable in (True, False):
        block = ConvNormAct(4, 8, 3).requires_grad_(trainable).eval()
        block.fuse()
        assert block.conv.bias is not None
        assert block.conv.bias.requires_grad is trainable


def test_synchronised_normalisation_is_folded_too() -> None:
    block = ConvNormAct(4, 8, 3).eval()
    torch.nn.init.uniform_(block.norm.running_var, 0.5, 1.5)
    x = torch.randn(2, 4, 8, 8)
    with torch.no_grad():
        wanted = block(x)
        synchronised = torch.nn.SyncBatchNorm.convert_sync_batchnorm(block)
        torch.testing.assert_close(synchronised(x), wanted)
        synchronised.fuse()
        torch.testing.assert_close(synchronised(x), wanted)
    assert isinstance(synchronised.norm, torch.nn.Identity)


def test_a_normalisation_left_in_training_mode_uses_the_batch() -> None:
    block = ConvNormAct(4, 8, 3).eval()
    block.norm.train()
    with torch.no_grad():
        block(torch.randn(2, 4, 8, 8))
    assert block.norm.num_batches_tracked == 1
