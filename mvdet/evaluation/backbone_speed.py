"""mvdet's pyramids against timm's and transformers', on the same input and, for timm, the same weights.

timm and transformers come with `pip install mvdet[bench]`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mvdet.backbones import VARIANTS, create_backbone
from mvdet.checkpoints import convert_state_dict
from mvdet.evaluation.measure import PairedTimes, peak_memory, time_in_pairs

LEVELS = (2, 4, 8, 16, 32)
Pyramid = Callable[[Tensor], list[Tensor]]


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison; see `PairedTimes` for the ratio.

    Attributes:
        variant: backbone.
        what: what was timed.
        batch: images.
        rival: the other implementation.
        times: mvdet's first, the rival's second.
        difference: largest difference of the outputs, relative to the largest value; None where the weights differ.
    """

    variant: str
    what: str
    batch: int
    rival: str
    times: PairedTimes
    difference: float | None


def timm_pair(variant: str) -> tuple[nn.Module, nn.Module]:
    """mvdet's and timm's pyramid with the same weights, all five levels, v1 with its expansion as timm has it."""
    import timm

    whole = timm.create_model(variant)
    theirs = timm.create_model(variant, features_only=True)
    theirs.load_state_dict(
        {k.replace("stages.", "stages_", 1): v for k, v in whole.state_dict().items() if not k.startswith("head.")}
    )
    ours = create_backbone(variant, out_strides=LEVELS, expand_output=VARIANTS[variant].expand_channels > 0)
    ours.load_state_dict(convert_state_dict(whole.state_dict(), to=ours, source="timm"))
    return ours, theirs


def transformers_config(variant: str, **options: Any) -> Any:
    """transformers' configuration of a variant; `options` are further arguments of it."""
    import transformers

    spec = VARIANTS[variant]
    if spec.version == 2:
        return transformers.MobileViTV2Config(width_multiplier=spec.stem_channels / 32, **options)
    return transformers.MobileViTConfig(
        neck_hidden_sizes=[spec.stem_channels, *(s.out_channels for s in spec.stages), spec.expand_channels],
        hidden_sizes=[s.attention_dim for s in spec.stages if s.depth],
        expand_ratio=float(spec.expand_ratio),
        **options,
    )


def transformers_backbone(variant: str) -> Pyramid:
    """transformers' network with random weights, as a function from images to its hidden states."""
    import transformers

    model = transformers.AutoModel.from_config(transformers_config(variant)).eval()
    return lambda images: model(images, output_hidden_states=True).hidden_states


def inference_rows(variant: str, *, batches: tuple[int, ...], size: int, repeats: int) -> Iterator[Row]:
    """mvdet's inference, plain and fused, against timm in its default layout and in channels_last, and transformers."""
    ours, theirs = (model.eval() for model in timm_pair(variant))
    last = timm_pair(variant)[1].eval().to(memory_format=torch.channels_last)
    last.load_state_dict(theirs.state_dict())
    hidden_states = transformers_backbone(variant)
    fused = create_backbone(variant, out_strides=LEVELS, expand_output=VARIANTS[variant].expand_channels > 0).eval()
    fused.load_state_dict(ours.state_dict())
    fused.fuse()
    with torch.inference_mode():
        for batch in batches:
            images = torch.rand(batch, 3, size, size)
            channels_last = images.contiguous(memory_format=torch.channels_last)
            for what, model in (("inference", ours), ("inference, fused", fused)):
                difference = _difference(model(images), theirs(images))
                rivals: tuple[tuple[str, Callable[[], object], float | None], ...] = (
                    ("timm", lambda: theirs(images), difference),  # noqa: B023
                    ("timm, channels_last", lambda: last(channels_last), difference),  # noqa: B023
                    ("transformers", lambda: hidden_states(images), None),  # noqa: B023
                )
                for rival, run, known in rivals:
                    times = time_in_pairs(lambda: model(images), run, repeats=repeats)  # noqa: B023
                    yield Row(variant, what, batch, rival, times, known)


def training_row(variant: str, *, batch: int, size: int, repeats: int) -> Row:
    """A training step, forward and backward, against timm's in its default layout."""
    ours, theirs = (model.train() for model in timm_pair(variant))
    images = torch.rand(batch, 3, size, size)
    times = time_in_pairs(lambda: _step(ours, images), lambda: _step(theirs, images), repeats=repeats, warmup=1)
    return Row(variant, "training step", batch, "timm", times, None)


def training_memory(variant: str, *, batch: int, size: int) -> tuple[int, int]:
    """Peak memory of a training step in bytes, mvdet's and timm's, each in a fresh process."""
    ours, theirs = (peak_memory(_prepare_step, (variant, which, batch, size)) for which in (0, 1))
    return ours, theirs


def _prepare_step(variant: str, which: int, batch: int, size: int) -> Callable[[], None]:
    model = timm_pair(variant)[which].train()
    _step(model, torch.rand(2, 3, 64, 64))
    return lambda: _step(model, torch.rand(batch, 3, size, size))


def _step(model: nn.Module, images: Tensor) -> None:
    model.zero_grad()
    sum(x.square().mean() for x in model(images)).backward()


def _difference(actual: list[Tensor], wanted: list[Tensor]) -> float:
    pairs = zip(actual, wanted, strict=True)
    return max(float((x - y).abs().max() / y.abs().max()) for x, y in pairs)
