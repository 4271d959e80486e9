import numpy as np
import pytest

from mvdet.data.instances import Instance, mask_box


def test_box_is_in_pixel_edges() -> None:
    mask = np.zeros((6, 9), dtype=bool)
    mask[2, 3] = True
    assert mask_box(mask) == (3, 2, 4, 3)
    mask[5, 8] = True
    assert mask_box(mask) == (3, 2, 9, 6)
    assert Instance(0, mask, mask_box(mask)).area == 2


@pytest.mark.parametrize("shape", [(4, 5), (0, 0)])
def test_an_empty_mask_has_no_box(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="empty"):
        mask_box(np.zeros(shape, dtype=bool))


def test_mask_must_be_two_dimensional() -> None:
    with pytest.raises(ValueError, match=r"\[H, W\].*\(2, 3, 4\)"):
        mask_box(np.ones((2, 3, 4), dtype=bool))
