"""SSD's default boxes (Liu et al., 2016, arXiv:1512.02325, section 2.2), as ml-cvnets lays them out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

# Six levels: sizes linspace(0.1, 1.05, 7) of the image side; ratios 2 and 3, at the last level 2 alone (ml-cvnets).
MIN_SCALE, MAX_SCALE = 0.1, 1.05
ASPECT_RATIOS = ((2, 3), (2, 3), (2, 3), (2, 3), (2, 3), (2,))


class AnchorGenerator(nn.Module):
    """The anchors of a pyramid, in relative units: they depend on the sizes of its maps alone.

    Args:
        aspect_ratios: for each level its ratios beside 1; every ratio r gives a box of r and one of 1 / r.
        min_scale: side of the smallest box of the first level, relative to the image.
        max_scale: side that the level after the last would start with.
    """

    def __init__(
        self,
        aspect_ratios: Sequence[Sequence[float]] = ASPECT_RATIOS,
        min_scale: float = MIN_SCALE,
        max_scale: float = MAX_SCALE,
    ) -> None:
        super().__init__()
        self.aspect_ratios = tuple(tuple(ratios) for ratios in aspect_ratios)
        scales = torch.linspace(min_scale, max_scale, len(self.aspect_ratios) + 1, dtype=torch.float64).tolist()
        self.shapes = tuple(
            _shapes(small, (small * large) ** 0.5, ratios)
            for small, large, ratios in zip(scales, scales[1:], self.aspect_ratios, strict=False)
        )

    @property
    def num_anchors(self) -> tuple[int, ...]:
        """For each level, how many anchors a cell of its map has."""
        return tuple(len(shapes) for shapes in self.shapes)

    def forward(self, map_sizes: Sequence[tuple[int, int]], device: torch.device | str | None = None) -> Tensor:
        """Height and width of each map -> anchors [N, 4], float32, (cx, cy, w, h) clipped to 0..1.

        Anchors are ordered level by level, then row by row, then cell by cell; at a cell: the small square, the large
        one, then for each ratio the wide box and the high one.

        Raises:
            ValueError: for another number of maps than levels.
        """
        if len(map_sizes) != len(self.shapes):
            raise ValueError(f"{len(self.shapes)} levels have anchors, got {len(map_sizes)} map sizes")
        levels = []
        for (height, width), shapes in zip(map_sizes, self.shapes, strict=True):
            y = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / height
            x = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / width
            # [H, W, 1, 2] centres and [A, 2] shapes -> [H, W, A, 4] -> [H * W * A, 4]
            centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).unsqueeze(2)
            boxes = torch.tensor(shapes, device=device, dtype=torch.float32)
            size = (height, width, len(shapes), 2)
            levels.append(torch.cat([centres.expand(size), boxes.expand(size)], dim=-1).flatten(0, 2))
        return torch.cat(levels).clamp(0, 1)


def _shapes(small: float, large: float, ratios: Sequence[float]) -> list[tuple[float, float]]:
    """Width and height of the boxes at one cell."""
    shapes = [(small, small), (large, large)]
    for ratio in ratios:
        root = ratio**0.5
        shapes += [(small * root, small / root), (small / root, small * root)]
    return shapes
