"""Every image once and in order, and the device that a name means."""

import pytest
import torch
from torch.utils.data import Dataset

from mvdet.evaluation.run.batches import choose_device, evaluation_batches, to_device


class Squares(Dataset):
    """Pictures of side index + 1, or all of side 1; the third cannot be read."""

    def __init__(self, alike: bool, broken: bool = False) -> None:
        self.alike, self.broken = alike, broken

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if self.broken and index == 2:
            raise ValueError("image 2: no picture")
        side = 1 if self.alike else index + 1
        return torch.full((3, side, side), index, dtype=torch.uint8), {"image_id": torch.tensor(index)}


@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("workers", [0, 1])
def test_every_image_once_and_in_order(alike: bool, workers: int) -> None:
    found = list(evaluation_batches(Squares(alike), batch_size=2, workers=workers, description="x"))
    assert [[int(target["image_id"]) for target in targets] for _, targets in found] == [[0, 1], [2, 3], [4]]
    assert [type(images) for images, _ in found[:2]] == [torch.Tensor if alike else list] * 2
    moved = to_device(found[0][0], "cpu")
    assert [int(image.max()) for image in moved] == [0, 1]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_problem_is_one_line(workers: int) -> None:
    with pytest.raises(ValueError, match=r"^image 2: no picture$"):
        list(evaluation_batches(Squares(True, broken=True), batch_size=2, workers=workers, description="x"))


@pytest.mark.parametrize(("batch_size", "workers"), [(0, 0), (1, -1)])
def test_numbers_out_of_range(batch_size: int, workers: int) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1 and workers at least 0"):
        next(evaluation_batches(Squares(True), batch_size=batch_size, workers=workers, description="x"))


def test_devices() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda", "mps", "xpu")
    with pytest.raises(ValueError, match="unknown device 'gpu'"):
        choose_device("gpu")
    with pytest.raises(ValueError, match="device 'cuda:99' is not on this machine; it has cpu"):
        choose_device("cuda:99")
