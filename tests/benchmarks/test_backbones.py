from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
import torch

from mvdet.backbones import MobileViTBackbone
from mvdet.benchmarks import backbones
from mvdet.benchmarks.backbones import COMPILED, FUSED, TIMM, TIMM_CHANNELS_LAST, TRANSFORMERS, inference, training
from mvdet.benchmarks.rivals import ChannelsLast, TransformersBackbone

pytest.importorskip("timm")
pytest.importorskip("transformers")

RIVALS = (TIMM, TIMM_CHANNELS_LAST, TRANSFORMERS)


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[partial]]:
    """What has been timed, with a clock that is made up: the n-th function takes n seconds, from 1 on."""
    calls: list[Sequence[partial]] = []

    def times(functions: Sequence[partial], **_: Any) -> list[tuple[float, ...]]:
        calls.append(functions)
        for function in functions:
            function()
        return [(float(number), float(number)) for number in range(1, len(functions) + 1)]

    monkeypatch.setattr(backbones, "time_in_turn", times)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # the graph, without generated code
    return calls


@pytest.mark.parametrize("variant", ["mobilevit_xxs", "mobilevitv2_050"])
def test_inference_compares_equal_outputs(variant: str, timed: list[Sequence[partial]]) -> None:
    rows = list(inference(variant, batches=(1, 2), sizes=(64,)))
    mine = {"inference": 1.0, FUSED: 2.0, COMPILED: 3.0}
    rivals = dict(zip(RIVALS, (4.0, 5.0, 6.0), strict=True))
    wanted = [(what, rival, first, second) for what, first in mine.items() for rival, second in rivals.items()]
    wanted.append((COMPILED, "mvdet, fused", 3.0, 2.0))
    assert [(row.what, row.rival, row.times.first[0], row.times.second[0]) for row in rows] == 2 * wanted
    assert [row.batch for row in rows] == [1] * len(wanted) + [2] * len(wanted)
    for row in rows:
        if row.rival in (TIMM, TIMM_CHANNELS_LAST):
            assert row.difference is not None
            assert row.difference < 1e-4
        else:
            assert row.difference is None
    ours, fused, _, _, last, transformers = (function.func for function in timed[0])
    assert isinstance(ours, MobileViTBackbone)
    assert any(isinstance(layer, torch.nn.BatchNorm2d) for layer in ours.modules())
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in fused.modules())
    assert isinstance(last, ChannelsLast)
    assert isinstance(transformers, TransformersBackbone)


def test_a_training_step_is_forward_and_backward(timed: list[Sequence[partial]]) -> None:
    rows = list(training("mobilevitv2_050", batch=2, size=64))
    assert [(row.rival, row.times.first[0], row.times.second[0]) for row in rows] == [
        (rival, 1.0, second) for rival, second in zip(RIVALS, (2.0, 3.0, 4.0), strict=True)
    ]
    for step in timed[0]:
        network, images = step.args
        assert network.training
        assert images.shape == (2, 3, 64, 64)
        assert next(network.parameters()).grad.abs().sum() > 0
    network = timed[0][0].args[0]
    before = next(network.parameters()).grad.clone()
    timed[0][0]()  # gradients do not add up from step to step
    torch.testing.assert_close(next(network.parameters()).grad, before, rtol=1e-3, atol=1e-5)
