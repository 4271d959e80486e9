"""Where the time of SSDLite goes beside its network: post-processing, evaluation, loading."""

import random
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection._utils import BoxCoder as TorchvisionCoder
from torchvision.ops import box_convert

from mvdet.detection import postprocess_detections
from mvdet.evaluation.coco import evaluate_coco
from mvdet.evaluation.measure import PairedTimes, time_in_pairs
from mvdet.models.detection_io import call_detector
from mvdet.models.registry import create_model
from mvdet.models.ssdlite import SSDLite

_CLASSES = 81  # COCO's, with the background
_BACKGROUND = {"a trained network's": 9.0, "random": 0.0}
"""What is added to the background's logits: with 9, about one anchor in a hundred passes the threshold, as in a trained
network; with 0, most do."""


def postprocessing_times(*, batch: int = 8, size: int = 320, repeats: int = 15) -> dict[str, PairedTimes]:
    """Our post-processing against torchvision's `SSD.postprocess_detections` on the same raw tensors.

    Raises:
        RuntimeError: the two do not find the same.
    """
    network = create_model("ssdlite_mobilevit_xxs", num_classes=2)
    assert isinstance(network, SSDLite)
    anchors = network.anchors(size, size)
    theirs = ssdlite320_mobilenet_v3_large(
        weights=None,
        weights_backbone=None,
        num_classes=_CLASSES,
        score_thresh=0.01,
        nms_thresh=0.5,
        topk_candidates=400,
        detections_per_img=200,
    )
    theirs.box_coder = TorchvisionCoder(weights=(10.0, 10.0, 5.0, 5.0))
    sizes = [(size, size)] * batch
    pixels = [box_convert(anchors, "cxcywh", "xyxy") * size] * batch
    times = {}
    for name, background in _BACKGROUND.items():
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(batch, len(anchors), _CLASSES, generator=generator)
        logits[..., 0] += background
        outputs = {
            "cls_logits": logits,
            "bbox_regression": torch.randn(batch, len(anchors), 4, generator=generator),
        }

        def ours(outputs: dict[str, Tensor] = outputs) -> Any:
            return postprocess_detections(outputs, anchors, sizes, clip_first=True)

        def rival(outputs: dict[str, Tensor] = outputs) -> Any:
            return theirs.postprocess_detections(outputs, pixels, sizes)

        for mine, wanted in zip(ours(), rival(), strict=True):
            if not torch.equal(mine["labels"], wanted["labels"]):
                raise RuntimeError(f"on {name} logits, torchvision finds other detections")
            torch.testing.assert_close(mine["boxes"], wanted["boxes"], rtol=1e-4, atol=1e-3)
        times[name] = time_in_pairs(ours, rival, repeats=repeats)
    return times


def evaluation_times(*, images: int = 5000, detections: int = 100, repeats: int = 2) -> PairedTimes:
    """COCO's twelve numbers with faster-coco-eval against pycocotools, on made-up detections of 80 classes.

    Raises:
        RuntimeError: the numbers differ by more than 1e-6.
    """
    truth, results = _made_up(images, detections)
    fast, judge = (evaluate_coco(truth, results, backend=b).numbers for b in ("faster-coco-eval", "pycocotools"))
    differing = [name for name, value in judge.items() if value is not None and abs(value - (fast[name] or 0)) > 1e-6]
    if differing:
        raise RuntimeError(f"the backends differ in {', '.join(differing)}")
    return time_in_pairs(
        lambda: evaluate_coco(truth, results, backend="faster-coco-eval"),
        lambda: evaluate_coco(truth, results, backend="pycocotools"),
        repeats=repeats,
        warmup=0,
    )


def loading_rates(
    loader: Iterable[Any], backbone: str, batch_size: int, *, batches: int = 30, steps: int = 4
) -> tuple[float, float]:
    """Images a second of a loader alone, and of the training step alone, on this machine's CPU.

    Args:
        loader: of training images; gone through again when it ends.
        backbone: of the detector that is trained.
        batch_size: images in each of the loader's batches.
        batches: loaded and counted, after the workers have started.
        steps: trained and counted, after one that is not.
    """
    endless = (batch for _ in iter(int, 1) for batch in loader)
    sample = next(endless)
    start = time.perf_counter()
    for _ in islice(endless, batches):
        pass
    loaded = batches * batch_size / (time.perf_counter() - start)
    endless.close()

    model = create_model(f"ssdlite_{backbone}", num_classes=_CLASSES).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        torch.stack(list(call_detector(model, *sample).values())).sum().backward()
        optimizer.step()

    step()
    return loaded, batch_size / _seconds(step, steps)


def _seconds(function: Callable[[], None], times: int) -> float:
    """Of one call."""
    start = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - start) / times


def _made_up(images: int, detections: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ground truth of seven objects an image, and detections: a third lie near an object, the others anywhere."""
    draw = random.Random(0)

    def box() -> list[float]:
        width, height = draw.uniform(10, 300), draw.uniform(10, 300)
        return [draw.uniform(0, 640 - width), draw.uniform(0, 480 - height), width, height]

    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image_id in range(1, images + 1):
        objects = [(box(), draw.randint(1, _CLASSES - 1)) for _ in range(7)]
        for corners, category in objects:
            common = {"id": len(annotations) + 1, "image_id": image_id, "category_id": category, "iscrowd": 0}
            annotations.append(common | {"bbox": corners, "area": corners[2] * corners[3]})
        for number in range(detections):
            corners, category = draw.choice(objects) if number % 3 == 0 else (box(), draw.randint(1, _CLASSES - 1))
            moved = [value + draw.gauss(0, 8) for value in corners]
            moved[2:] = [max(1.0, side) for side in moved[2:]]
            results.append({"image_id": image_id, "category_id": category, "bbox": moved, "score": draw.random()})
    pictures = [{"id": i + 1, "width": 640, "height": 480} for i in range(images)]
    categories = [{"id": i, "name": f"class{i}"} for i in range(1, _CLASSES)]
    return {"images": pictures, "annotations": annotations, "categories": categories}, results
