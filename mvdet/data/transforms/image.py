"""Albumentations transforms of the picture itself: its colours and its size."""

import math
import os
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A  # type: ignore[import-untyped]
from albumentations.augmentations.crops.transforms import BaseCrop  # type: ignore[import-untyped]
from albumentations.augmentations.pixel import functional as pixel_functions  # type: ignore[import-untyped]
from albumentations.core.type_definitions import Targets  # type: ignore[import-untyped]

__all__ = ["A", "BaseCrop", "Targets", "pixel_functions"]


Range = tuple[float, float]


def check_range(name: str, values: Range, least: float = -math.inf, most: float = math.inf) -> Range:
    """The values, if they are in order and within bounds.

    Raises:
        ValueError: they are not; the message has the name.
    """
    low, high = values
    if not least <= low <= high <= most:
        raise ValueError(f"{name} must be (low, high) between {least:g} and {most:g}, got {values}")
    return low, high


class AntialiasedResize(A.Resize):
    """albumentations' `Resize`, bilinear as Pillow and so ml-cvnets have it: averaging over all pixels when it shrinks.

    OpenCV's bilinear looks at four pixels, however far it shrinks, so the smaller the result, the more it differs from
    Pillow's, which published weights were trained on.

    Args:
        height: of the result, in pixels.
        width: of the result, in pixels.
        p: probability of the whole.
    """

    class InitSchema(A.BasicTransform.InitSchema):
        """albumentations looks up the valid arguments here."""

        height: int
        width: int

    def __init__(self, height: int, width: int, p: float = 1.0) -> None:
        if height < 1 or width < 1:
            raise ValueError(f"height and width must be at least 1, got {height} and {width}")
        super().__init__(height=height, width=width, p=p)

    def apply(self, img: NDArray[np.uint8], interpolation: int, **params: Any) -> NDArray[np.uint8]:
        """Resize an image [H, W, C] uint8 to [height, width, C] uint8."""
        img = img if img.flags.writeable else img.copy()  # as arrays of Pillow's images are, and torch warns of them
        images = torch.from_numpy(img).permute(2, 0, 1)[None]  # [H, W, C] -> [1, C, H, W], channels last in memory
        resized = torch.nn.functional.interpolate(images, (self.height, self.width), mode="bilinear", antialias=True)
        result: NDArray[np.uint8] = resized[0].permute(1, 2, 0).numpy()  # -> [height, width, C]
        return result


class PhotometricDistortion(A.ImageOnlyTransform):
    """Random brightness, contrast, saturation, hue and channel order, each with probability `each`.

    Factors and order are those of torchvision's `RandomPhotometricDistort`, which are ml-cvnets'
    `PhotometricDistort`'s: brightness; contrast here or after hue, at random; saturation; hue; channels.

    Args:
        brightness: range of the factor.
        contrast: range of the factor.
        saturation: range of the factor.
        hue: range of the shift, as a share of the colour circle.
        each: probability of each of the five.
        p: probability of the whole.

    Raises:
        ValueError: a range is out of order or out of bounds.
    """

    class InitSchema(A.BasicTransform.InitSchema):
        """albumentations looks up the valid arguments here."""

        brightness: Range
        contrast: Range
        saturation: Range
        hue: Range
        each: float

    def __init__(
        self,
        brightness: Range = (0.875, 1.125),
        contrast: Range = (0.5, 1.5),
        saturation: Range = (0.5, 1.5),
        hue: Range = (-0.05, 0.05),
        each: float = 0.5,
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        self.brightness = check_range("brightness", brightness, 0)
        self.contrast = check_range("contrast", contrast, 0)
        self.saturation = check_range("saturation", saturation, 0)
        self.hue = check_range("hue", hue, -0.5, 0.5)
        self.each = each

    def get_params(self) -> dict[str, Any]:
        """Draw the factors, None for what is left alone."""
        draw = self.py_random
        params: dict[str, Any] = {
            name: draw.uniform(*getattr(self, name)) if draw.random() < self.each else None
            for name in ("brightness", "contrast", "saturation", "hue")
        }
        params["contrast_first"] = draw.random() < 0.5
        params["channels"] = draw.sample(range(3), 3) if draw.random() < self.each else None
        return params

    def apply(
        self,
        img: NDArray[np.uint8],
        brightness: float | None,
        contrast: float | None,
        saturation: float | None,
        hue: float | None,
        contrast_first: bool,
        channels: list[int] | None,
        **params: Any,
    ) -> NDArray[np.uint8]:
        """Distort an image [H, W, 3] uint8 RGB by the factors that were drawn; its shape stays."""
        if brightness is not None:
            img = pixel_functions.adjust_brightness_torchvision(img, brightness)
        if contrast is not None and contrast_first:
            img = pixel_functions.adjust_contrast_torchvision(img, contrast)
        if saturation is not None:
            img = pixel_functions.adjust_saturation_torchvision(img, saturation)
        if hue is not None:
            img = pixel_functions.adjust_hue_torchvision(img, hue)
        if contrast is not None and not contrast_first:
            img = pixel_functions.adjust_contrast_torchvision(img, contrast)
        if channels is not None:
            shuffled = np.empty_like(img)
            cv2.mixChannels(
                [img], [shuffled], [index for pair in zip(channels, range(3), strict=True) for index in pair]
            )
            img = shuffled
        return img
