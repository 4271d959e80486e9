import pytest
import torch
from torch import nn

from mvdet.heads import ASPP, AuxiliaryHead, DeepLabV3Head
from mvdet.heads.deeplabv3 import pixel_cross_entropy


def test_the_branches_see_as_far_as_their_rates() -> None:
    aspp = ASPP(2, 4, atrous_rates=(2, 3, 5)).eval()
    x = torch.zeros(1, 2, 31, 31)
    x[..., 15, 15] = 1
    with torch.no_grad():
        for branch, rate in zip(aspp.branches, (0, 2, 3, 5), strict=True):
            centre = branch.conv(x)
            assert centre.shape == (1, 4, 31, 31)
            rows = centre.abs().sum(dim=(0, 1, 3)).nonzero().flatten().tolist()
            assert rows == sorted({15 - rate, 15, 15 + rate})


def test_the_last_branch_is_the_images_mean_everywhere() -> None:
    aspp = ASPP(3, 4).eval()
    nn.init.zeros_(aspp.project.conv.weight)
    for channel in range(4):  # let the pooled branch alone pass
        aspp.project.conv.weight.data[channel, 16 + channel] = 1
    x = torch.rand(2, 3, 5, 7) + 0.5
    wanted = aspp.project.norm(aspp.image_pool(x.mean(dim=(2, 3), keepdim=True))).relu()
    out = aspp(x)
    assert out.shape == (2, 4, 5, 7)
    assert out.std(dim=(2, 3)).max() < 1e-6
    torch.testing.assert_close(out, wanted.expand_as(out))
    assert wanted.max() > 0


@pytest.mark.parametrize("head", [DeepLabV3Head(8, 3, aspp_channels=16), AuxiliaryHead(8, 3)])
class TestBothHeads:
    """What they have in common."""

    def test_fusing_changes_nothing(self, head: nn.Module, randomise) -> None:
        randomise(head.eval())
        x = torch.rand(2, 8, 5, 3)
        before = head(x)
        after = head.fuse()(x)
        assert before.shape == (2, 3, 5, 3)
        assert not any(isinstance(layer, nn.BatchNorm2d) for layer in head.modules())
        torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_dropout_is_for_training() -> None:
    for head in (DeepLabV3Head(8, 3, aspp_channels=16, dropout=0.5), AuxiliaryHead(8, 3, dropout=0.5)):
        x = torch.rand(4, 8, 6, 6)
        assert not torch.equal(head.train()(x), head(x))
        assert torch.equal(head.eval()(x), head(x))


@pytest.mark.parametrize(("channels", "wanted"), [(64, 128), (384, 128), (768, 192)])
def test_channels_of_the_auxiliary_head(channels: int, wanted: int) -> None:
    assert AuxiliaryHead(channels, 21).project.conv.weight.shape == (wanted, channels, 3, 3)


def test_a_single_image_cannot_train() -> None:
    head = DeepLabV3Head(8, 3, aspp_channels=16).train()
    with pytest.raises(ValueError, match="training needs two images at least in a batch, got 1: the image pooling"):
        head(torch.rand(1, 8, 6, 6))
    head.aspp.image_pool.eval()  # the way out that the message names
    assert head(torch.rand(1, 8, 6, 6)).shape == (1, 3, 6, 6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DeepLabV3Head(8, 0), "num_classes must be at least 1, got 0"),
        (lambda: AuxiliaryHead(8, 0), "num_classes must be at least 1, got 0"),
        (lambda: ASPP(8, 0), "out_channels must be at least 1, got 0"),
        (lambda: ASPP(8, 4, atrous_rates=(6, 12)), r"atrous_rates must be 3 .* at least 1, got \(6, 12\)"),
        (lambda: ASPP(8, 4, atrous_rates=(0, 1, 2)), r"atrous_rates must be 3 .* at least 1, got \(0, 1, 2\)"),
    ],
)
def test_bad_arguments(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_cross_entropy_is_the_mean_over_the_pixels_that_count() -> None:
    logits = torch.randn(2, 3, 4, 5, requires_grad=True)
    masks = torch.randint(0, 3, (2, 4, 5))
    masks[0, :2] = 255
    counted = masks != 255
    wanted = nn.functional.cross_entropy(logits.permute(0, 2, 3, 1)[counted], masks[counted])
    torch.testing.assert_close(pixel_cross_entropy(logits, masks), wanted)
    nothing = pixel_cross_entropy(logits, torch.full_like(masks, 255))
    assert nothing == 0
    nothing.backward()
    assert not logits.grad.any()
