"""Which image sizes a run has, and how many images a step takes at each."""

from collections.abc import Sequence
from operator import index
from typing import NamedTuple

Size = tuple[int, int]


class SizeBatch(NamedTuple):
    """What a step may be: `batch_size` images of `height` x `width` pixels."""

    height: int
    width: int
    batch_size: int


def image_sizes(base_size: Size, min_size: Size, max_size: Size, num_sizes: int, divisor: int) -> list[Size]:
    """The distinct sizes of a range and the base, rounded to the divisor, smallest first.

    The range's i-th size has the i-th of `num_sizes` evenly spaced heights and the i-th of as many widths; one size is
    `min_size`. Height and width are paired first, then rounded, then the repeated pairs are left out. A side half-way
    between two multiples of the divisor is rounded up, as in ml-cvnets' `make_divisible`; unlike there, a side that is
    rounded down by more than a tenth stays so. Rounding may go past the range by half a divisor.

    Args:
        base_size: (height, width); may lie outside the range.
        min_size: the smallest (height, width).
        max_size: the largest.
        num_sizes: how many sizes the range is divided into, both ends among them.
        divisor: what every side shall be a multiple of.

    Returns:
        (height, width) by number of pixels.

    Raises:
        ValueError: a number below 1, a side below the divisor, or a smallest side above the largest.
    """
    divisor, num_sizes = at_least("divisor", divisor, 1), at_least("num_sizes", num_sizes, 1)
    for name, size in (("base_size", base_size), ("min_size", min_size), ("max_size", max_size)):
        if min(checked_size(name, size)) < divisor:
            raise ValueError(f"{name} must be at least the divisor {divisor} in height and width, got {tuple(size)}")
    if any(low > high for low, high in zip(min_size, max_size, strict=True)):
        raise ValueError(
            f"min_size must be at most max_size in height and width, got {tuple(min_size)} and {tuple(max_size)}"
        )
    # Every side as a multiple of 1 / parts: in whole numbers, a half is a half
    parts = max(1, num_sizes - 1)
    sizes = [
        tuple(low * parts + i * (high - low) for low, high in zip(min_size, max_size, strict=True))
        for i in range(num_sizes)
    ]
    sizes.append((base_size[0] * parts, base_size[1] * parts))
    distinct = {(_rounded(h, parts, divisor), _rounded(w, parts, divisor)) for h, w in sizes}
    return sorted(distinct, key=lambda size: (size[0] * size[1], size))


def size_batch_pairs(
    base_size: Size = (256, 256),
    base_batch_size: int = 32,
    min_size: Size = (160, 160),
    max_size: Size = (320, 320),
    num_sizes: int = 5,
    divisor: int = 32,
    *,
    max_pixels: int | None = None,
) -> list[SizeBatch]:
    """The sizes of a multi-scale run, each with the batch that has about as many pixels as the base's.

    The batch at (h, w) is max(1, floor(H_base W_base B_base / (h w))), with the base as given, not rounded (MobileViT,
    arXiv:2110.02178, section 3.2 and its appendix on the sampler; ml-cvnets, `data/sampler/utils.py`).

    Args:
        base_size: (height, width) that the batch is given for, as for `image_sizes`.
        base_batch_size: images of one process in a step at `base_size`.
        min_size: the smallest (height, width).
        max_size: the largest.
        num_sizes: how many sizes the range is divided into.
        divisor: what every side shall be a multiple of.
        max_pixels: the most pixels, images x height x width, that one process may have in a step. Batches are cut to
            it, the base's too.

    Returns:
        (height, width, batch size) by number of pixels of an image.

    Raises:
        ValueError: as `image_sizes`; a batch below 1; a size of which not even one image fits `max_pixels`.

    Example:
        >>> [(h, b) for h, w, b in size_batch_pairs(base_batch_size=128)]
        [(160, 327), (192, 227), (256, 128), (288, 101), (320, 81)]
    """
    base_batch_size = at_least("base_batch_size", base_batch_size, 1)
    sizes = image_sizes(base_size, min_size, max_size, num_sizes, divisor)
    pixels = base_size[0] * base_size[1] * base_batch_size
    pairs = [SizeBatch(height, width, max(1, pixels // (height * width))) for height, width in sizes]
    if max_pixels is None:
        return pairs
    height, width = sizes[-1]
    if height * width > at_least("max_pixels", max_pixels, 1):
        raise ValueError(
            f"max_pixels must be at least {height * width}, one image of the largest size {(height, width)}, "
            f"got {max_pixels}"
        )
    return [pair._replace(batch_size=min(pair.batch_size, max_pixels // (pair.height * pair.width))) for pair in pairs]


def at_least(name: str, value: int, lowest: int) -> int:
    """The value as an int.

    Raises:
        TypeError: it is not a whole number.
        ValueError: it is below `lowest`.
    """
    try:
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, got {value!r}") from None
    if number < lowest:
        raise ValueError(f"{name} must be at least {lowest}, got {value}")
    return number


def checked_size(name: str, size: Sequence[int]) -> Size:
    """(height, width) as ints.

    Raises:
        TypeError: it is not two whole numbers.
        ValueError: one is below 1.
    """
    if not isinstance(size, Sequence) or len(size) != 2:
        raise TypeError(f"{name} must be (height, width), got {size!r}")
    return at_least(f"{name}'s height", size[0], 1), at_least(f"{name}'s width", size[1], 1)


def _rounded(side: int, parts: int, divisor: int) -> int:
    """The multiple of the divisor nearest to side / parts, the upper one of two."""
    return (2 * side + parts * divisor) // (2 * parts * divisor) * divisor
