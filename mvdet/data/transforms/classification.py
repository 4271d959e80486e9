"""torchvision's transforms for training and evaluating classifiers, in the published order."""

from collections.abc import Callable
from typing import Literal, get_args

from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode

Interpolation = Literal["bilinear", "bicubic"]
Resize = int | tuple[int, int]


def train_transform(
    height: int,
    width: int,
    *,
    interpolation: Interpolation = "bilinear",
    crop_scale: tuple[float, float] = (0.08, 1.0),
    flip: float = 0.5,
    rand_augment: bool = False,
    random_erasing: float = 0.0,
) -> Callable[[Tensor], Tensor]:
    """uint8 [3, H, W] to uint8 [3, height, width]: a random part of the picture, flipped and augmented.

    Args:
        height: of the result, in pixels.
        width: of the result, in pixels.
        interpolation: "bilinear" (published v1) or "bicubic" (v2).
        crop_scale: least and greatest share of the picture's area.
        flip: probability of a horizontal flip.
        rand_augment: RandAugment with torchvision's defaults, two operations of magnitude 9.
        random_erasing: probability that a rectangle is blanked.

    Raises:
        ValueError: another interpolation, or a size below 1.
    """
    mode = _mode(height, width, interpolation)
    steps: list[nn.Module] = [v2.RandomResizedCrop((height, width), crop_scale, interpolation=mode, antialias=True)]
    steps.append(v2.RandomHorizontalFlip(flip))
    if rand_augment:
        steps.append(v2.RandAugment(interpolation=InterpolationMode.BILINEAR))
    if random_erasing:
        steps.append(v2.RandomErasing(random_erasing))
    transform: Callable[[Tensor], Tensor] = v2.Compose(steps)
    return transform


def eval_transform(
    height: int,
    width: int,
    *,
    interpolation: Interpolation = "bilinear",
    resize: Resize | None = None,
) -> Callable[[Tensor], Tensor]:
    """uint8 [3, H, W] to uint8 [3, height, width]: resized, then the middle of it.

    Args:
        height: of the result, in pixels.
        width: of the result, in pixels.
        interpolation: "bilinear" or "bicubic".
        resize: the shorter side's length, or (height, width), before the crop; None for 288 / 256 of the result's
            shorter side, as ml-cvnets.

    Raises:
        ValueError: another interpolation, or a size below 1.
    """
    mode = _mode(height, width, interpolation)
    if resize is None:
        resize = round(min(height, width) * 288 / 256)
    size = [resize] if isinstance(resize, int) else list(resize)
    transform: Callable[[Tensor], Tensor] = v2.Compose(
        [v2.Resize(size, interpolation=mode, antialias=True), v2.CenterCrop([height, width])]
    )
    return transform


def _mode(height: int, width: int, interpolation: str) -> InterpolationMode:
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be at least 1, got {height} and {width}")
    if interpolation not in get_args(Interpolation):
        raise ValueError(f"interpolation must be one of {', '.join(get_args(Interpolation))}, got {interpolation!r}")
    return InterpolationMode(interpolation)
