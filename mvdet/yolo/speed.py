"""A YOLO on mvdet's backbone against the same YOLO on timm's, through `yolo predict`'s own path."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import timm
import torch
from torch import Tensor, nn
from ultralytics import YOLO

from mvdet.benchmarks.comparison import Comparison
from mvdet.benchmarks.measure import PairedTimes, time_in_processes, time_in_turn
from mvdet.benchmarks.rivals import as_trained, relative_difference
from mvdet.checkpoints import convert_state_dict
from mvdet.resources import resource
from mvdet.yolo.modules import MobileViT


class TimmMobileViT(nn.Module):
    """timm's network as a row of a model definition: the maps of its last three stages, without the expansion.

    Args:
        variant: timm's name of the network, which is ours.
    """

    def __init__(self, variant: str) -> None:
        super().__init__()
        network = as_trained(timm.create_model(variant))
        self.stem, self.stages = network.stem, network.stages

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, 3, H, W] -> maps at strides 8, 16 and 32."""
        maps = []
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[-3:]


def prediction(
    definition: str = "cfg/yolov5-mobilevit.yaml",
    *,
    sizes: tuple[int, ...] = (320, 640),
    repeats: int = 15,
    seconds: float = 20.0,
) -> Iterator[Comparison]:
    """`YOLO(...).predict` of one picture, with everything that it does: letterbox, fused network, suppression.

    Once with both networks in one process, and once with each in a process of its own, as the `yolo` command has it.
    timm's is fused where ultralytics can fuse it: in the neck and the head.

    Args:
        definition: a model definition of the package whose first row is `MobileViT`.
        sizes: values of `imgsz`, in pixels.
        repeats: rounds, at most, of each of a size's four timings: one in this process, three with others.
        seconds: time after which each of those ends; see `time_in_turn`.

    Yields:
        For each size the comparison in one process, and the one with a process each.
    """
    ours, theirs = YOLO(resource(definition)), _with_timm(definition)
    row = ours.model.model[0]
    assert isinstance(row, MobileViT)
    theirs.model.model[1:].load_state_dict(ours.model.model[1:].state_dict())
    theirs_state = theirs.model.model[0].state_dict()
    row.backbone.load_state_dict(convert_state_dict(theirs_state, to=row.backbone, source="timm"))
    for size in sizes:
        runs = [_predict(model, size) for model in (ours, theirs)]
        for run in runs:  # makes the predictors, whose networks are fused
            run()
        images = torch.rand(1, 3, size, size)
        with torch.inference_mode():
            found, wanted = (model.predictor.model.model(images)[0] for model in (ours, theirs))
        difference = relative_difference([found], [wanted])
        compare = partial(Comparison, resource(definition).stem, batch=1, size=size, rival="timm backbone")
        what = f"yolo predict, {torch.get_num_threads()} thread(s)"
        times = time_in_turn(runs, repeats=repeats, seconds=seconds)
        yield compare(what, times=PairedTimes(*times), difference=difference)
        times = time_in_processes(
            _prepare, [(definition, False, size), (definition, True, size)], repeats=repeats, seconds=seconds
        )
        yield compare(f"{what}, a process each", times=PairedTimes(*times))


def _with_timm(definition: str) -> YOLO:
    """The definition with timm's network in place of mvdet's, random weights."""
    model = YOLO(resource(definition))
    row = model.model.model[0]
    other = TimmMobileViT(row.name)
    for name in ("f", "i", "type", "np"):  # what ultralytics notes on every row
        setattr(other, name, getattr(row, name))
    model.model.model[0] = other
    return model


def _predict(model: YOLO, size: int) -> Callable[[], Any]:
    """A call of `predict` on a picture of noise, 480 x 640."""
    picture = (torch.rand(480, 640, 3) * 255).byte().numpy()
    return partial(model.predict, picture, imgsz=size, verbose=False)


def _prepare(definition: str, on_timm: bool, size: int) -> Callable[[], Any]:
    """What `time_in_processes` times in a process of its own: prediction on either backbone."""
    return _predict(_with_timm(definition) if on_timm else YOLO(resource(definition)), size)
