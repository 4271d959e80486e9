"""DeepLabV3 from images to logits, against transformers with the same weights, and torchvision's, another network."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large

from mvdet.backbones import VARIANTS
from mvdet.benchmarks.comparison import Comparison
from mvdet.benchmarks.measure import PairedTimes, time_in_turn
from mvdet.benchmarks.rivals import as_trained, relative_difference, transformers_config
from mvdet.checkpoints import convert_state_dict
from mvdet.models.deeplabv3 import DeepLabV3
from mvdet.models.registry import create_model

_CLASSES = 21


def segmentation(
    variant: str, *, batch: int = 1, size: int = 512, repeats: int = 15, seconds: float = 30.0
) -> Iterator[Comparison]:
    """Logits as the heads give them, before they are enlarged, fused.

    transformers does not dilate MobileViTv2's encoder, so its outputs are others there.

    Args:
        variant: backbone.
        batch: images.
        size: side of the square images in pixels.
        repeats: rounds, at most.
        seconds: after which it ends; see `time_in_turn`.
    """
    import transformers

    first = VARIANTS[variant].version == 1
    network = (
        transformers.MobileViTForSemanticSegmentation if first else transformers.MobileViTV2ForSemanticSegmentation
    )
    theirs = as_trained(network(transformers_config(variant, num_labels=_CLASSES, output_stride=16))).eval()
    ours = create_model(f"deeplabv3_{variant}", num_classes=_CLASSES, aux_head=False).eval()
    assert isinstance(ours, DeepLabV3)
    ours.load_state_dict(convert_state_dict(theirs.state_dict(), to=ours))
    ours.fuse()
    torchvision = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=_CLASSES).eval()
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
