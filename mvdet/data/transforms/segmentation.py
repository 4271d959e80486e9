"""Albumentations transforms for training and evaluating segmentation networks; masks are never interpolated.

The published recipe of DeepLabV3-MobileViT (Apple's ml-cvnets, `config/segmentation/`): random size, crop of the size
that the network is trained at, horizontal flip; photometric distortion since release 0.2.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mvdet.data.io.masks import IGNORE_INDEX
from mvdet.data.transforms.image import A, AntialiasedResize, PhotometricDistortion, Range, Targets, check_range

SCALE: Range = (0.5, 2.0)  # ml-cvnets 0.1: shorter sides of 256 to 1024 for crops of 512


class RandomSize(A.DualTransform):
    """Resizes to a random size, the aspect ratio kept: the shorter side becomes `side` times a factor.

    Args:
        side: in pixels.
        scale: range of the factor.
        p: probability of the whole.

    Raises:
        ValueError: the range is out of order or reaches 0, or a side below 1.
    """

    class InitSchema(A.BasicTransform.InitSchema):
        """albumentations looks up the valid arguments here."""

        side: int
        scale: Range

    _targets = (Targets.IMAGE, Targets.MASK)

    def __init__(self, side: int, scale: Range = SCALE, p: float = 1.0) -> None:
        super().__init__(p=p)
        if side < 1:
            raise ValueError(f"side must be at least 1, got {side}")
        self.side = side
        self.scale = check_range("scale", scale, 0)
        if scale[0] == 0:
            raise ValueError(f"scale must be above 0, got {scale}")

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the size: `(height, width)` in pixels."""
        height, width = params["shape"][:2]
        factor = self.py_random.uniform(*self.scale) * self.side / min(height, width)
        return {"size": (max(1, round(height * factor)), max(1, round(width * factor)))}

    def apply(self, img: NDArray[np.uint8], size: tuple[int, int], **params: Any) -> NDArray[np.uint8]:
        """Resize an image [H, W, C] uint8 to [*size, C] uint8."""
        return AntialiasedResize(*size).apply(img, cv2.INTER_LINEAR)

    def apply_to_mask(self, mask: NDArray[np.uint8], size: tuple[int, int], **params: Any) -> NDArray[np.uint8]:
        """Resize a mask [H, W]: each pixel is the nearest one by its centre, as the image's interpolation has it."""
        resized = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        return np.asarray(resized, dtype=mask.dtype)


def train_transform(
    height: int, width: int, *, scale: Range = SCALE, photometric: bool = True, flip: float = 0.5
) -> A.Compose:
    """The training transforms, for images that become `[height, width, 3]` and masks `[height, width]`.

    Called with `image` and `mask`. What a small image leaves of the crop is black, and 255 in the mask.

    Args:
        height: of the result, in pixels.
        width: of the result, in pixels.
        scale: range of the random size: of the image's shorter side, relative to the shorter of height and width.
        photometric: `PhotometricDistortion`.
        flip: probability of a horizontal flip.

    Raises:
        ValueError: `scale` is out of order or reaches 0, `flip` is not in [0, 1], or a size is below 1.
    """
    _check_size(height, width)
    if not 0 <= flip <= 1:
        raise ValueError(f"flip must be a probability, 0 to 1, got {flip}")
    crop = A.RandomCrop(
        height, width, pad_if_needed=True, pad_position="random", border_mode=cv2.BORDER_CONSTANT, fill=0,
        fill_mask=IGNORE_INDEX,
    )  # fmt: skip
    steps = [RandomSize(min(height, width), scale), crop]
    if photometric:
        steps.append(PhotometricDistortion())
    steps.append(A.HorizontalFlip(p=flip))
    return A.Compose(steps, strict=True)


def eval_transform(height: int, width: int) -> A.Compose:
    """The plain resize to `[height, width, 3]`, called with `image` and, if that should follow, `mask`.

    Raises:
        ValueError: a size is below 1.
    """
    _check_size(height, width)
    resize = AntialiasedResize(height, width)
    resize.mask_interpolation = cv2.INTER_NEAREST_EXACT
    return A.Compose([resize], strict=True)


def _check_size(height: int, width: int) -> None:
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be at least 1, got {height} and {width}")
