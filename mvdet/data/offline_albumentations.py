"""albumentations, imported without the question that it would put to PyPI: whether there is a newer version.

Without a network it takes seconds and ends in a warning. A user who sets `NO_ALBUMENTATIONS_UPDATE=0` gets it.
"""

from __future__ import annotations

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations as A  # type: ignore[import-untyped]
from albumentations.augmentations.crops.transforms import BaseCrop  # type: ignore[import-untyped]
from albumentations.augmentations.pixel import functional as pixel_functions  # type: ignore[import-untyped]
from albumentations.core.type_definitions import Targets  # type: ignore[import-untyped]

__all__ = ["A", "BaseCrop", "Targets", "pixel_functions"]
