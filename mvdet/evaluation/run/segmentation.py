"""A segmentation network at work: on a batch, and on a whole data set."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mvdet.data.datasets.segmentation import MaskRecord, SegmentationDataset
from mvdet.evaluation.metrics.segmentation import predicted_labels
from mvdet.evaluation.run.batches import evaluation_batches, to_device
from mvdet.evaluation.run.class_matching import match_numbers
from mvdet.models.inputs import as_input
from mvdet.models.trained import TrainedSegmenter

Stride = tuple[int, int]
"""Rows and columns from one window to the next."""


def window_starts(length: int, window: int, stride: int) -> list[int]:
    """Where windows begin along a side, so that they cover every pixel of it.

    The first begins at 0, the others `stride` apart; the last ends where the side does, and lies closer to the one
    before where the length is no whole number of strides.

    Args:
        length: of the side in pixels, at least that of a window.
        window: length of a window in pixels.
        stride: pixels from one window to the next.
    """
    return [*range(0, length - window, stride), length - window]


def default_stride(window: tuple[int, int]) -> Stride:
    """Two thirds of a window, at least 1: MMSegmentation's choice (512 and 341) for its sliding windows."""
    return max(1, window[0] * 2 // 3), max(1, window[1] * 2 // 3)


def sliding_window_logits(
    logits_of: Callable[[Tensor], Tensor],
    images: Tensor,
    window: tuple[int, int],
    *,
    stride: Stride | None = None,
    batch_size: int = 4,
) -> Tensor:
    """Logits of every pixel from overlapping windows; where they overlap, the mean of their logits.

    An image with a side shorter than the window's is enlarged first, bilinearly and with its aspect ratio kept, until
    it holds a window: black borders, which the network was not trained on, would go into its image pooling. Larger
    images keep their resolution.

    Args:
        logits_of: a network, [N, C, *window] -> logits [N, K, h, w] of any size, which are stretched to the window's
            with corners aligned, as DeepLabV3's own are.
        images: [B, C, H, W] floating point.
        window: its height and width.
        stride: rows and columns from one window to the next, 1 up to the window's; None takes `default_stride`.
        batch_size: windows at a time.

    Returns:
        [B, K, H', W'] float32: H and W, enlarged where a side was too short.

    Raises:
        ValueError: a window or batch size below 1, or a stride out of range.
    """
    stride = default_stride(window) if stride is None else stride
    if min(window) < 1 or batch_size < 1:
        raise ValueError(f"window and batch_size must be at least 1, got {window} and {batch_size}")
    if not (1 <= stride[0] <= window[0] and 1 <= stride[1] <= window[1]):
        raise ValueError(f"stride must be between 1 and the window's {window}, got {stride}")
    images = _enlarged(images, window)
    count, _, height, width = images.shape
    corners = [
        (index, top, left)
        for index in range(count)
        for top in window_starts(height, window[0], stride[0])
        for left in window_starts(width, window[1], stride[1])
    ]
    total: Tensor | None = None
    covered = torch.zeros(1, 1, height, width, device=images.device)
    for start in range(0, len(corners), batch_size):
        part = corners[start : start + batch_size]
        crops = torch.stack([images[i, :, y : y + window[0], x : x + window[1]] for i, y, x in part])
        logits = F.interpolate(logits_of(crops).float(), size=window, mode="bilinear", align_corners=True)
        if total is None:
            total = logits.new_zeros(count, logits.shape[1], height, width)
        for one, (index, top, left) in zip(logits, part, strict=True):
            total[index, :, top : top + window[0], left : left + window[1]] += one
            covered[..., top : top + window[0], left : left + window[1]] += index == 0  # all images have the same
    assert total is not None
    return total / covered


def _enlarged(images: Tensor, window: tuple[int, int]) -> Tensor:
    """[B, C, H, W] that hold a window."""
    height, width = images.shape[-2:]
    scale = max(window[0] / height, window[1] / width)
    if scale <= 1:
        return images
    # Never a pixel short of the window, whatever the products round to.
    size = max(window[0], math.floor(height * scale + 0.5)), max(window[1], math.floor(width * scale + 0.5))
    return F.interpolate(images, size=size, mode="bilinear", align_corners=False)


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
        logits: Tensor = model(inputs, upsample=False)["out"]
        return logits

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
