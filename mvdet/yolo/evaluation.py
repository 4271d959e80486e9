"""Checkpoints of ultralytics on our data sets, so that YOLO and SSDLite are judged by the same judge."""

from collections.abc import Iterator, Sequence
from math import ceil
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor
from tqdm import tqdm  # type: ignore[import-untyped]
from ultralytics import YOLO
from ultralytics.nn.autobackend import AutoBackend
from ultralytics.nn.tasks import torch_safe_load
from ultralytics.utils import DEFAULT_CFG
from ultralytics.utils.checks import check_imgsz
from ultralytics.utils.nms import non_max_suppression

from mvdet.data.datasets.detection import DetectionDataset
from mvdet.data.datasets.records import ImageRecord
from mvdet.data.io.images import BadImageError, read_image
from mvdet.evaluation.results import Result, to_results
from mvdet.evaluation.run.detection import match_classes

SETTINGS: dict[str, Any] = {"conf_thres": 0.001, "iou_thres": 0.7, "max_det": 300, "multi_label": True}
"""What `yolo val` measures with; `yolo predict` keeps only the best class of a box."""
BATCH_SIZE = 16
"""The batch size of `yolo val`: the images of a batch decide how far each of them is padded, and so what is found."""
PADDING_VALUE = 114 / 255
"""The grey that ultralytics pads images with."""

_TASKS = ("detect", "segment", "pose")  # what ultralytics calls the tasks that give upright boxes


def load_yolo(checkpoint: str | Path) -> YOLO:
    """A network from a checkpoint that ultralytics saved, which is first read in its restricted mode.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a checkpoint that ultralytics loads with known classes alone, or not one that finds boxes.
    """
    path = Path(checkpoint)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint not found: {path}")
    try:
        torch_safe_load(path, safe_only=True)  # runs nothing that is in the file; what passes may be loaded as usual
        network = YOLO(path)
    except (TypeError, RuntimeError, ModuleNotFoundError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    if network.task not in _TASKS:
        raise ValueError(f"{path}: the task must be one of {', '.join(_TASKS)}, it is {network.task}")
    return network


def run_yolo(
    checkpoint: str | Path,
    dataset: DetectionDataset,
    *,
    size: tuple[int, int] | None = None,
    device: torch.device | str = "cpu",
) -> list[Result]:
    """Look for objects in every image of a data set as `yolo val` does, with a progress bar.

    Images are turned by their EXIF orientation where their annotations count so.

    Args:
        checkpoint: `best.pt` of a training run, a stock model, or one with a MobileViT backbone.
        dataset: whose class names are the checkpoint's, in any order; only its images are used, no transform.
        size: height and width in pixels, multiples of the largest stride, that images are made to fit in; None takes
            the checkpoint's own. Two equal ones are `imgsz` of `yolo val`, which pads an image as the others of its
            batch need it, by half a stride at least; it knows no others, with which each is padded to this size.
        device: where the network runs.

    Returns:
        COCO results with the data set's image and category ids, boxes in pixels of the stored images. They may reach
        out of them: `yolo val` scores boxes as the network gives them.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: as `load_yolo` and `mvdet.evaluation.run.detection.match_classes`; a size that the network does not
            take, or an image that cannot be read.
    """
    network = load_yolo(checkpoint)
    labels = sorted(network.names)
    category_ids = match_classes([network.names[label] for label in labels], dataset)
    model = AutoBackend(network.model, device=torch.device(device), verbose=False).eval()
    if size is None:
        side = check_imgsz(network.overrides.get("imgsz", DEFAULT_CFG.imgsz), stride=model.stride, max_dim=1)
        size = (side, side)
    elif any(side % model.stride for side in size):
        raise ValueError(f"size must be multiples of {model.stride} for {checkpoint}, got {size[0]} {size[1]}")
    num_classes = 0 if network.task == "detect" else len(labels)  # others have more channels than boxes and classes
    found: dict[int, list[Result]] = {}
    for records, frame in tqdm(list(_batches(dataset.records, size, model.stride)), desc="detect", unit="batch"):
        images, places = zip(*(_prepare(record, size, frame) for record in records), strict=True)
        with torch.inference_mode():
            outputs = model(torch.stack(images).to(device))
            while not isinstance(outputs, Tensor):
                outputs = outputs[0]
            end2end = getattr(model, "end2end", False)
            kept = non_max_suppression(outputs, nc=num_classes, end2end=end2end, max_time_img=float("inf"), **SETTINGS)
        for record, place, rows in zip(records, places, kept, strict=True):
            offset, scale = place.to(rows.device)
            boxes = (rows[:, :4] - offset) / scale
            detections = {"boxes": boxes, "scores": rows[:, 4], "labels": rows[:, 5].long() + 1}
            found[record.image_id] = to_results(record.image_id, detections, category_ids)
    return [result for record in dataset.records for result in found[record.image_id]]


def _batches(
    records: Sequence[ImageRecord], size: tuple[int, int], stride: int
) -> Iterator[tuple[list[ImageRecord], tuple[int, int]]]:
    """Batches of similar aspect ratio and the height and width of each (ultralytics, `BaseDataset.set_rectangle`)."""
    ordered = sorted(records, key=lambda record: record.height / record.width)
    for start in range(0, len(ordered), BATCH_SIZE):
        batch = ordered[start : start + BATCH_SIZE]
        if size[0] != size[1]:
            yield batch, size
            continue
        flattest, tallest = (record.height / record.width for record in (batch[0], batch[-1]))
        shares = min(1.0, tallest), min(1.0, 1 / flattest)
        height, width = (ceil(share * size[0] / stride + 0.5) * stride for share in shares)
        yield batch, (height, width)


def _prepare(record: ImageRecord, size: tuple[int, int], frame: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The image, made to fit in `size`, in the middle of a `frame`: [3, H, W] in [0, 1]; its offset and scale, xyxy."""
    try:
        image = read_image(record.file, (record.width, record.height))
    except BadImageError as error:
        raise ValueError(f"image {record.image_id}: {error.fault}: {error}") from error
    stored_height, stored_width = image.shape[:2]
    ratio = min(size[0] / stored_height, size[1] / stored_width)
    height, width = min(ceil(stored_height * ratio), size[0]), min(ceil(stored_width * ratio), size[1])
    if (height, width) != (stored_height, stored_width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    top, left = round((frame[0] - height) / 2 - 0.1), round((frame[1] - width) / 2 - 0.1)
    padded = torch.full((3, *frame), PADDING_VALUE)
    padded[:, top : top + height, left : left + width] = torch.from_numpy(image).permute(2, 0, 1) / 255
    return padded, torch.tensor([[left, top] * 2, [width / stored_width, height / stored_height] * 2])
