from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mvdet.data.transforms.classification import eval_transform, train_transform


def test_evaluation_is_the_published_resize_and_crop() -> None:
    """As torchvision's preset on Pillow's pixels: the shorter side to 288, the middle 256."""
    smooth = Image.fromarray(np.random.default_rng(0).integers(0, 255, (8, 12, 3), dtype=np.uint8)).resize((500, 300))
    pixels = torch.from_numpy(np.array(smooth)).permute(2, 0, 1)
    for name, mode in (("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)):
        resized = smooth.resize((480, 288), mode)
        wanted = np.array(resized.crop((112, 16, 368, 272)))
        found = eval_transform(256, 256, interpolation=name)(pixels).permute(1, 2, 0).numpy()  # type: ignore[arg-type]
        assert np.abs(found.astype(int) - wanted).max() <= 2
    assert eval_transform(64, 64, resize=(70, 90))(pixels).shape == (3, 64, 64)


@pytest.mark.parametrize("make", [train_transform, eval_transform])
def test_transforms_refuse_what_cannot_work(make: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="interpolation must be one of bilinear, bicubic, got 'nearest'"):
        make(32, 32, interpolation="nearest")
    with pytest.raises(ValueError, match="at least 1, got 0 and 32"):
        make(0, 32)
