"""A segmentation network at work: on a batch, and on a whole data set."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mvdet.data.segmentation import MaskRecord, SegmentationDataset
from mvdet.evaluation.batches import evaluation_batches
from mvdet.evaluation.class_matching import match_numbers
from mvdet.evaluation.detector import to_device
from mvdet.evaluation.segmentation import predicted_labels
from mvdet.evaluation.sliding_window import sliding_window_logits
from mvdet.models.pixels import as_input
from mvdet.models.trained import TrainedSegmenter


@dataclass(frozen=True, slots=True)
class SegmentedImage:
    """What a network says of an image of a data set, in the data set's class numbers.

    Attributes:
        record: which image it is.
        labels: [H, W] int64, the class of every pixel of the stored image.
        mask: [H, W] int64, the true ones.
    """

    record: MaskRecord
    labels: Tensor
    mask: Tensor


def segment_batch(
    model: nn.Module,
    images: Tensor | list[Tensor],
    sizes: Sequence[tuple[int, int]],
    device: torch.device | str,
    *,
    window: tuple[int, int] | None = None,
    batch_size: int = 4,
) -> list[Tensor]:
    """The class of every pixel, at the images' own sizes.

    Args:
        model: a segmentation network in evaluation mode, on the device.
        images: uint8, [B, 3, H, W] or a list of [3, H, W].
        sizes: height and width of each result, those of the stored images.
        device: where the model is.
        window: height and width of the windows, see `sliding_window_logits`; None takes each image as a whole.
        batch_size: windows at a time.

    Returns:
        [height, width] int64 for each image, on the CPU.
    """

    def logits_of(inputs: Tensor) -> Tensor:
        return model(inputs, upsample=False)["out"]

    with torch.inference_mode():
        inputs = as_input(to_device(images, device))
        if window is None and isinstance(inputs, Tensor):
            logits = list(logits_of(inputs))
        else:
            window_logits = [
                logits_of(image[None])
                if window is None
                else sliding_window_logits(logits_of, image[None], window, batch_size=batch_size)
                for image in inputs
            ]
            logits = [one[0] for one in window_logits]
        return [predicted_labels(one[None], size)[0].cpu() for one, size in zip(logits, sizes, strict=True)]


def run_segmenter(
    segmenter: TrainedSegmenter,
    dataset: SegmentationDataset,
    *,
    sliding_window: bool = False,
    size: tuple[int, int] | None = None,
    batch_size: int = 16,
    workers: int = 0,
    device: torch.device | str = "cpu",
) -> Iterator[SegmentedImage]:
    """Segment every image of a data set, with a progress bar.

    Args:
        segmenter: of `mvdet.models.trained.find_model`; its model is moved to the device.
        dataset: made with `train=False`.
        sliding_window: look at each image window by window, at its stored resolution (see `sliding_window_logits`),
            in place of the whole image, resized.
        size: height and width of the window, or of the resized image; None takes those that the model was trained at.
        batch_size: images, or windows, at a time, 1 or more.
        workers: processes that load images, 0 or more.
        device: where the model runs.

    Yields:
        One for each image, in the data set's order.

    Raises:
        ValueError: a data set for training, one without a transform where images are taken as a whole, other classes
            (see `match_numbers`), an image or mask that cannot be read, or a number out of range.
    """
    if dataset.train:
        raise ValueError(f"{dataset.bad_data.source}: masks are evaluated on a data set made with train=False")
    numbers = torch.tensor(match_numbers(segmenter, dataset.class_names))
    size = size or segmenter.size
    dataset = copy.copy(dataset)
    if sliding_window:
        dataset.transform = None
    elif dataset.transform is None:
        raise ValueError(
            f"{dataset.bad_data.source}: whole images are resized by the data set's transform, it has none"
        )
    dataset.size = size
    window = size if sliding_window else None
    records = {record.image_id: record for record in dataset.records}
    model = segmenter.model.to(device)
    for images, targets in evaluation_batches(
        dataset, batch_size=1 if sliding_window else batch_size, workers=workers, description="segment"
    ):
        sizes = [(target["mask"].shape[0], target["mask"].shape[1]) for target in targets]
        found = segment_batch(model, images, sizes, device, window=window, batch_size=batch_size)
        for labels, target in zip(found, targets, strict=True):
            yield SegmentedImage(records[int(target["image_id"])], numbers[labels], target["mask"])
