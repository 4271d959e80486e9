"""A network that sees colours, and the colours."""

import pytest
from torch import Tensor, nn


class Brightest(nn.Module):
    """The logits are the mean red, green and blue: of pictures, or of every pixel."""

    def __init__(self, pixels: bool = False) -> None:
        super().__init__()
        self.pixels = pixels

    def forward(self, images: Tensor, upsample: bool = False) -> Tensor | dict[str, Tensor]:
        return {"out": 9 * images} if self.pixels else 9 * images.mean(dim=(2, 3))


@pytest.fixture
def brightest() -> type[Brightest]:
    """Of classes red, green and blue, in this order."""
    return Brightest


@pytest.fixture
def colours() -> dict[str, tuple[int, int, int]]:
    """RGB by name."""
    return {"red": (200, 20, 10), "green": (20, 200, 10), "blue": (10, 20, 200)}
