import pytest
import torch

from mvdet.detection import AnchorGenerator


def test_the_designs_numbers() -> None:
    generator = AnchorGenerator()
    assert generator.num_anchors == (6, 6, 6, 6, 6, 4)
    assert len(generator([(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)])) == 3232
    scales = torch.linspace(0.1, 1.05, 7)
    anchors = generator([(1, 1)] * 6)
    assert torch.allclose(anchors[0, 2:], scales[0].expand(2))
    assert torch.allclose(anchors[1, 2:], (scales[0] * scales[1]).sqrt().expand(2))
    assert torch.allclose(anchors[4, 2:], scales[0] * torch.tensor([3**0.5, 3**-0.5]))
    assert torch.allclose(anchors[5, 2:], scales[0] * torch.tensor([3**-0.5, 3**0.5]))


def test_order_and_centres() -> None:
    anchors = AnchorGenerator([(2,)], 0.2, 0.4)([(2, 3)])
    assert anchors.shape == (2 * 3 * 4, 4)
    assert torch.allclose(anchors[::4, 0], torch.tensor([1, 3, 5, 1, 3, 5]) / 6)
    assert torch.allclose(anchors[::4, 1], torch.tensor([1, 1, 1, 3, 3, 3]) / 4)
    assert (anchors >= 0).all()
    assert (anchors <= 1).all()


def test_another_number_of_maps() -> None:
    with pytest.raises(ValueError, match="6 levels have anchors, got 2 map sizes"):
        AnchorGenerator()([(1, 1), (2, 2)])
