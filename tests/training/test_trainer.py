"""Devices as the command line says them, and those that are not there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from mvdet.training.trainer import make_trainer, parse_devices


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("auto", "auto"), ("1", 1), ("8", 8), ("-1", -1), ("0,1", [0, 1]), ("0, 2", [0, 2]), ("0,", [0]), ("3,1", [3, 1])],
)
def test_devices(text: str, wanted: object) -> None:
    assert parse_devices(text) == wanted


@pytest.mark.parametrize("text", ["0", "-2", "foo", "1,1", "", ",", "1.0", "1;2", "cuda:0", "-1,0", "99999999999", "²"])
def test_what_is_no_device(text: str) -> None:
    with pytest.raises(ValueError, match=r"^devices must be auto, a number from 1, or a list of different devices"):
        parse_devices(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"devices": "foo"}, "devices must be auto"),
        ({"devices": "-1"}, "--accelerator cpu --devices -1 --precision 32-true: .*should be an int > 0"),
        ({"devices": "0,1"}, "--accelerator cpu --devices 0,1 --precision 32-true: .*should be an int > 0"),
        ({"accelerator": "foo"}, "--accelerator foo .*invalid accelerator name"),
        ({"precision": "foo"}, "--precision foo: .*Allowed precision values"),
        ({"precision": "16-true"}, "precision 16-true would need images of that type; 32-true, 16-mixed"),
    ],
)
def test_what_cannot_be_trained_on(
    changes: dict[str, str], message: str, recipe: Callable[..., Any], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make_trainer(recipe(**{"accelerator": "cpu", **changes}), tmp_path, ModelCheckpoint())
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(recipe: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^--accelerator gpu --devices 1 "):
        make_trainer(recipe(accelerator="gpu", devices="1"), tmp_path, ModelCheckpoint())
