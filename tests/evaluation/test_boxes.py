import numpy as np
import pytest

from mvdet.evaluation.boxes import box_iou


def test_known_overlaps() -> None:
    boxes = [[0, 0, 2, 1], [0, 0, 0, 1]]
    others = [[0, 0, 1, 1], [5, 5, 1, 1], [0, 0, 0, 1], [1, 0, 2, 1]]
    assert box_iou(boxes, others) == pytest.approx(np.array([[1 / 2, 0, 0, 1 / 3], [0, 0, 0, 0]]))
    # with a crowd, the share of the box
    assert box_iou(boxes[:1], others, [True] * 4) == pytest.approx(np.array([[1 / 2, 0, 0, 1 / 2]]))


@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0), (0, 0)])
def test_nothing(n: int, m: int) -> None:
    assert box_iou([[0, 0, 1, 1]] * n, [[0, 0, 1, 1]] * m).shape == (n, m)
