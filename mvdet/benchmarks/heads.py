"""SSDLite and DeepLabV3 from images to boxes and to logits, their parts alone, and the loader of their training images.

The others are transformers' DeepLabV3 with the same weights, and torchvision's detector and segmentation network on
MobileNetV3, which are other networks.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection._utils import BoxCoder as TorchvisionCoder
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large
from torchvision.ops import box_convert

from mvdet.backbones import VARIANTS
from mvdet.benchmarks.comparison import Comparison
from mvdet.benchmarks.measure import PairedTimes, time_in_pairs, time_in_turn
from mvdet.benchmarks.rivals import as_trained, relative_difference, transformers_config
from mvdet.checkpoints import convert_state_dict
from mvdet.detection import postprocess_detections
from mvdet.models.deeplabv3 import DeepLabV3
from mvdet.models.inputs import call_detector
from mvdet.models.registry import create_model
from mvdet.models.ssdlite import SSDLite

_VOC_CLASSES, _COCO_CLASSES = 21, 81  # with the background
_BACKGROUND = {"as trained": 9.0, "random": 0.0}
"""What is added to the background's logits: with 9 few anchors pass the threshold, as in a trained network; with 0 most
do."""


def segmentation(
    variant: str, *, batch: int = 1, size: int = 512, repeats: int = 15, seconds: float = 30.0
) -> Iterator[Comparison]:
    """DeepLabV3 from images to logits as the heads give them, before they are enlarged, with fused convolutions.

    transformers does not dilate MobileViTv2's encoder, so its outputs are others there.

    Args:
        variant: name of the backbone.
        batch: number of images.
        size: side of the square images in pixels.
        repeats: rounds, at most.
        seconds: time after which it ends; see `time_in_turn`.

    Yields:
        The comparison with each of the others.
    """
    import transformers  # optional, and takes seconds to import

    first = VARIANTS[variant].version == 1
    network = (
        transformers.MobileViTForSemanticSegmentation if first else transformers.MobileViTV2ForSemanticSegmentation
    )
    theirs = as_trained(network(transformers_config(variant, num_labels=_VOC_CLASSES, output_stride=16))).eval()
    ours = create_model(f"deeplabv3_{variant}", num_classes=_VOC_CLASSES, aux_head=False).eval()
    assert isinstance(ours, DeepLabV3)
    ours.load_state_dict(convert_state_dict(theirs.state_dict(), to=ours))
    ours.fuse()
    torchvision = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=_VOC_CLASSES).eval()
    images = torch.rand(batch, 3, size, size)
    runs: list[Callable[[], Any]] = [
        partial(ours, images, upsample=False),
        partial(theirs, images.flip(1) if first else images),  # v1 was published for BGR
        partial(torchvision, images),
    ]
    with torch.inference_mode():
        difference = relative_difference([runs[0]()["out"]], [runs[1]().logits]) if first else None
        times = time_in_turn(runs, repeats=repeats, warmup=1, seconds=seconds)
    rivals = (("transformers", difference), ("torchvision's deeplabv3_mobilenet_v3_large", None))
    for (rival, known), other in zip(rivals, times[1:], strict=True):
        subject = f"deeplabv3_{variant}"
        yield Comparison(subject, "images to logits, fused", batch, size, rival, PairedTimes(times[0], other), known)


def end_to_end(
    variant: str, *, batch: int = 8, size: int = 320, repeats: int = 15, seconds: float = 30.0
) -> tuple[Comparison, dict[str, float]]:
    """SSDLite from images to boxes, fused, against torchvision's; and what share of the time post-processing takes.

    Both networks have random weights, of which most anchors pass the threshold; mvdet's background is raised for one
    of the two shares, as training does it.

    Args:
        variant: name of the backbone.
        batch: number of images.
        size: side of the square images in pixels.
        repeats: rounds, at most.
        seconds: time after which it ends; see `time_in_turn`.

    Returns:
        The comparison, and the share of the whole call, in [0, 1], by what the logits are like.
    """
    torchvision = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=_COCO_CLASSES).eval()
    images = torch.rand(batch, 3, size, size)
    shares = {}
    with torch.inference_mode():
        for name, background in _BACKGROUND.items():
            model = _detector(variant, background)
            outputs, anchors = model.head_outputs(images), model.anchors(size, size)
            runs = [
                partial(model, images),
                partial(model.postprocess, outputs, anchors, [(size, size)] * batch),
                partial(torchvision, list(images)),
            ]
            whole, after, theirs = time_in_turn(runs, repeats=repeats, seconds=seconds)
            shares[name] = 1 / PairedTimes(after, whole).ratio
            if name == "as trained":
                times = PairedTimes(whole, theirs)
    rival = "torchvision's ssdlite320_mobilenet_v3_large"
    return Comparison(f"ssdlite_{variant}", "images to boxes, fused", batch, size, rival, times), shares


def _detector(variant: str, background: float) -> SSDLite:
    """A fused detector with random weights whose predictors add `background` to the background's logits."""
    model = create_model(f"ssdlite_{variant}", num_classes=_COCO_CLASSES).eval()
    assert isinstance(model, SSDLite)
    with torch.no_grad():
        for predictor in model.head.predictors:
            convolution = getattr(predictor, "pointwise", predictor)
            assert isinstance(convolution, nn.Conv2d)
            assert convolution.bias is not None
            convolution.bias.view(-1, 4 + _COCO_CLASSES)[:, 4] += background
    return model.fuse()


def postprocessing(*, batch: int = 8, size: int = 320, repeats: int = 15) -> Iterator[Comparison]:
    """Our post-processing against torchvision's `SSD.postprocess_detections` on the same raw tensors.

    Args:
        batch: number of images.
        size: side of the square images in pixels; 320 has 3,232 anchors.
        repeats: counted pairs.

    Yields:
        A comparison for each kind of logits: as a trained network has them, and as one with random weights has.

    Raises:
        RuntimeError: the two do not find the same.
    """
    network = create_model("ssdlite_mobilevit_xxs", num_classes=2)
    assert isinstance(network, SSDLite)
    anchors = network.anchors(size, size)
    theirs = ssdlite320_mobilenet_v3_large(
        weights=None,
        weights_backbone=None,
        num_classes=_COCO_CLASSES,
        score_thresh=0.01,
        nms_thresh=0.5,
        topk_candidates=400,
        detections_per_img=200,
    )
    theirs.box_coder = TorchvisionCoder(weights=(10.0, 10.0, 5.0, 5.0))
    sizes = [(size, size)] * batch
    pixels = [box_convert(anchors, "cxcywh", "xyxy") * size] * batch
    for name, background in _BACKGROUND.items():
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(batch, len(anchors), _COCO_CLASSES, generator=generator)
        logits[..., 0] += background
        outputs: dict[str, Tensor] = {
            "cls_logits": logits,
            "bbox_regression": torch.randn(batch, len(anchors), 4, generator=generator),
        }
        ours: Callable[[], Any] = partial(postprocess_detections, outputs, anchors, sizes, clip_first=True)
        rival: Callable[[], Any] = partial(theirs.postprocess_detections, outputs, pixels, sizes)
        for mine, wanted in zip(ours(), rival(), strict=True):
            if not torch.equal(mine["labels"], wanted["labels"]):
                raise RuntimeError(f"logits {name}: torchvision finds other detections")
            torch.testing.assert_close(mine["boxes"], wanted["boxes"], rtol=1e-4, atol=1e-3)
        what = f"post-processing, {len(anchors):,} anchors, {_COCO_CLASSES} classes, logits {name}"
        times = time_in_pairs(ours, rival, repeats=repeats)
        yield Comparison("SSDLite", what, batch, size, "torchvision", times)


def loading_rates(
    loader: Iterable[Any], backbone: str, batch_size: int, *, batches: int = 30, steps: int = 4
) -> tuple[float, float]:
    """Images a second of a loader alone, and of the training step alone, on this machine's CPU.

    Args:
        loader: gives batches of training images; gone through again when it ends.
        backbone: name of the backbone of the detector that is trained.
        batch_size: images in each of the loader's batches.
        batches: how many are loaded and counted, after the workers have started.
        steps: how many are trained and counted, after one that is not.

    Returns:
        Images a second of the loader, images a second of the training step.
    """
    endless = (batch for _ in iter(int, 1) for batch in loader)
    sample = next(endless)
    start = time.perf_counter()
    for _ in islice(endless, batches):
        pass
    loaded = batches * batch_size / (time.perf_counter() - start)
    endless.close()

    model = create_model(f"ssdlite_{backbone}", num_classes=_COCO_CLASSES).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(torch.stack(list(call_detector(model, *sample).values())).sum())
        optimizer.step()

    step()
    return loaded, batch_size / _seconds(step, steps)


def _seconds(function: Callable[[], None], times: int) -> float:
    """Seconds that one call takes, averaged over so many calls."""
    start = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - start) / times
