"""uint8 pixels into networks, and boxes back to the stored images."""

import pytest
import torch
from torch import Tensor, nn

from mvdet.models.inputs import as_input, call_detector, detect


class Detector(nn.Module):
    """Finds the whole of each image, and remembers what it was given."""

    def forward(self, images: Tensor | list[Tensor], targets: object = None) -> list[dict[str, Tensor]]:
        self.given, self.targets = images, targets
        sizes = [image.shape[-2:] for image in images]
        return [{"boxes": torch.tensor([[0.0, 0.0, width, height]])} for height, width in sizes]


def test_pixels() -> None:
    pixels = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(2, 3, 4, 3)
    batch = as_input(pixels)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert batch[1, 2, 3].tolist() == pytest.approx([0, 0.2, 1])
    first, _ = as_input([*pixels])
    assert torch.equal(first, batch[0])


def test_torchvisions_detectors_take_lists_only() -> None:
    model, batch = Detector(), torch.zeros(2, 3, 4, 6, dtype=torch.uint8)
    call_detector(model, batch, targets := [{}, {}])
    assert isinstance(model.given, Tensor)
    assert model.targets is targets
    theirs = type("Theirs", (Detector,), {"__module__": "torchvision.models.detection"})()
    call_detector(theirs, batch)
    assert [image.shape for image in theirs.given] == [(3, 4, 6)] * 2


def test_boxes_are_those_of_the_stored_images() -> None:
    images = [torch.zeros(3, 4, 6, dtype=torch.uint8), torch.zeros(3, 8, 8, dtype=torch.uint8)]
    first, second = detect(Detector(), images, [(40, 30), (8, 16)])
    assert (first["boxes"].tolist(), second["boxes"].tolist()) == ([[0, 0, 30, 40]], [[0, 0, 16, 8]])
