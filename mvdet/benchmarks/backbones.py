"""mvdet's pyramids against timm's and transformers', on the same input and, for timm, the same weights."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from mvdet.benchmarks.comparison import Comparison
from mvdet.benchmarks.measure import PairedTimes, peak_memory, time_in_turn
from mvdet.benchmarks.rivals import ChannelsLast, TransformersBackbone, all_levels, relative_difference, timm_pair

TIMM, TIMM_CHANNELS_LAST, TRANSFORMERS = "timm", "timm, channels_last", "transformers"
FUSED, COMPILED = "inference, fused", "inference, compiled"


def inference(
    variant: str, *, batches: tuple[int, ...], sizes: tuple[int, ...], repeats: int = 15, seconds: float = 20.0
) -> Iterator[Comparison]:
    """Time inference, with the network as it is loaded, fused, and fused and compiled, against three others.

    The compiled network is also compared with the fused one that it was made of.

    Args:
        variant: name of the backbone.
        batches: numbers of images; with each size they make a case.
        sizes: sides of the square images in pixels.
        repeats: rounds of each case, at most.
        seconds: time after which a case ends; see `time_in_turn`.

    Yields:
        For each case the comparisons of all three with each of the others, and of the last two.
    """
    ours, theirs = (model.eval() for model in timm_pair(variant))
    fused = all_levels(variant).eval()
    fused.load_state_dict(ours.state_dict())
    fused.fuse()
    last = ChannelsLast(copy.deepcopy(theirs))
    transformers = TransformersBackbone(variant).eval()
    torch.compiler.reset()  # or the graphs of other variants count towards the limit of recompilations
    compiled = torch.compile(fused, fullgraph=True, dynamic=False)
    mine: dict[str, Callable[[Tensor], list[Tensor]]] = {"inference": ours, FUSED: fused, COMPILED: compiled}
    rivals: dict[str, Callable[[Tensor], list[Tensor]]] = {
        TIMM: theirs,
        TIMM_CHANNELS_LAST: last,
        TRANSFORMERS: transformers,
    }
    with torch.inference_mode():
        for size in sizes:
            for batch in batches:
                images = torch.rand(batch, 3, size, size)
                runs = [partial(model, images) for model in (*mine.values(), *rivals.values())]
                found = time_in_turn(runs, repeats=repeats, warmup=1, seconds=seconds)
                times = dict(zip((*mine, *rivals), found, strict=True))
                wanted = theirs(images)
                for what, model in mine.items():
                    difference = relative_difference(model(images), wanted)
                    for rival in rivals:
                        known = None if rival == TRANSFORMERS else difference
                        pair = PairedTimes(times[what], times[rival])
                        yield Comparison(variant, what, batch, size, rival, pair, known)
                pair = PairedTimes(times[COMPILED], times[FUSED])
                yield Comparison(variant, COMPILED, batch, size, "mvdet, fused", pair, None)


def training(
    variant: str, *, batch: int = 8, size: int = 256, repeats: int = 10, seconds: float = 40.0
) -> Iterator[Comparison]:
    """Time a training step, forward and backward, against three others.

    Args:
        variant: name of the backbone.
        batch: number of images.
        size: side of the square images in pixels.
        repeats: rounds, at most.
        seconds: time after which it ends; see `time_in_turn`.

    Yields:
        The comparison with each of the others.
    """
    ours, theirs = (model.train() for model in timm_pair(variant))
    last = ChannelsLast(copy.deepcopy(theirs))
    transformers = TransformersBackbone(variant).train()
    images = torch.rand(batch, 3, size, size)
    runs = [partial(_step, model, images) for model in (ours, theirs, last, transformers)]
    times = time_in_turn(runs, repeats=repeats, warmup=1, seconds=seconds)
    for rival, other in zip((TIMM, TIMM_CHANNELS_LAST, TRANSFORMERS), times[1:], strict=True):
        yield Comparison(variant, "training step", batch, size, rival, PairedTimes(times[0], other))


def memory(variant: str, *, batch: int = 8, size: int = 256) -> dict[tuple[str, str], int]:
    """Measure by how much a call raises the peak of a process's memory, each in a fresh process.

    Args:
        variant: name of the backbone.
        batch: number of images.
        size: side of the square images in pixels.

    Returns:
        Bytes, by what is done ("inference", "training step") and by whom ("mvdet" or another).
    """
    return {
        (what, who): peak_memory(_prepare, (variant, who, what == "training step", batch, size))
        for what in ("inference", "training step")
        for who in ("mvdet", TIMM, TRANSFORMERS)
    }


def _prepare(variant: str, who: str, training: bool, batch: int, size: int) -> Callable[[], Any]:
    """What `memory` measures in a process of its own: a call, after a small one that allocates what stays."""
    model = TransformersBackbone(variant) if who == TRANSFORMERS else timm_pair(variant)[who == TIMM]
    run = partial(_step if training else torch.inference_mode()(nn.Module.__call__), model.train(training))
    run(torch.rand(2, 3, 64, 64))
    images = torch.rand(batch, 3, size, size)
    return lambda: run(images)


def _step(model: nn.Module, images: Tensor) -> None:
    """Forward and backward; gradients are dropped first, as an optimiser's `zero_grad` does."""
    model.zero_grad()
    torch.autograd.backward([x.square().mean() for x in model(images)])
