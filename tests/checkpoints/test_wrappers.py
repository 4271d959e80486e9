"""What is in a file beside the weights, and which weights count where there are several."""

import logging

import pytest
import torch
from torch import Tensor

from mvdet.checkpoints.wrappers import unwrap


def weights(value: float, prefix: str = "") -> dict[str, Tensor]:
    return {f"{prefix}stem.weight": torch.tensor([value]), f"{prefix}stem.bias": torch.tensor([value])}


LAST, AVERAGED = weights(1.0), weights(2.0)


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        ({"state_dict": LAST, "state_dict_ema": AVERAGED}, "'state_dict_ema', not 'state_dict'"),
        ({"model": LAST, "model_ema": AVERAGED, "args": None}, "'model_ema', not 'model'"),
        ({"model_state_dict": LAST, "ema_state_dict": AVERAGED}, "'ema_state_dict', not 'model_state_dict'"),
        ({"state_dict": LAST, "ema_state_dict": AVERAGED}, "'ema_state_dict', not 'state_dict'"),
        # OpenMMLab's hook swaps the two when it saves
        (
            {"state_dict": AVERAGED, "ema_state_dict": {"steps": torch.tensor(3), **weights(1.0, "module.")}},
            "'state_dict', not 'ema_state_dict'",
        ),
    ],
)
def test_averaged_weights_are_taken_and_that_is_said(
    content: dict[str, object], taken: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert unwrap(content, "w.pth") is not AVERAGED
    assert unwrap(content, "w.pth") == AVERAGED
    assert caplog.messages[0] == f"w.pth: the averaged weights are taken: {taken}"


@pytest.mark.parametrize("ema", [None, {}, ""])
def test_an_average_that_was_not_kept(ema: object, caplog: pytest.LogCaptureFixture) -> None:
    assert unwrap({"model": LAST, "model_ema": ema}, "w.pth") == LAST
    assert not caplog.text


@pytest.mark.parametrize(
    "content",
    [
        LAST,
        {"net": LAST, "acc": 0.3, "epoch": 4},
        {"my_weights": LAST, "optimizer": {"state": {}, "param_groups": []}},
        {"checkpoint": {"state_dict": LAST}, "state_dict": {"module": LAST}},
        {"n_averaged": torch.tensor(3), **LAST},
    ],
)
def test_what_else_there_is(content: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert unwrap(content, "w.pth") == LAST
    assert not caplog.text


def test_several_that_nothing_tells_apart() -> None:
    with pytest.raises(ValueError, match=r"^2 state dicts are in it \(generator, critic\); save the one that is meant"):
        unwrap({"generator": LAST, "critic": LAST, "epoch": 3}, "w.pth")
