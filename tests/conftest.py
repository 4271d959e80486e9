"""What several parts of the suite share: others' reference outputs, and where larger data of the developers' lies."""

import json
import os
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

# Several processes run the tests, and their subprocesses: one thread each, or they wait for each other.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)

REPOSITORY = Path(__file__).parents[1]
REFERENCE = REPOSITORY / "tests" / "data" / "reference"
SHARED = REPOSITORY.parent / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: a worker that meets one last leaves the other without work."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@dataclass(frozen=True)
class ReferenceCase:
    """One case of `tests/data/reference`: weights and input made by its README's rule, and what Apple's code gives."""

    state_dict: dict[str, Tensor]
    images: Tensor
    outputs: dict[str, Tensor]


def known_weights(shapes: Mapping[str, list[int]]) -> dict[str, Tensor]:
    """The weights that the reference outputs were computed with, from their names and shapes."""
    weights = {}
    for key, shape in shapes.items():
        rs = np.random.RandomState(zlib.crc32(key.encode()) & 0x7FFFFFFF)
        if key.endswith("num_batches_tracked"):
            weights[key] = torch.zeros(shape, dtype=torch.int64)
            continue
        if key.endswith("running_var"):
            value = rs.uniform(0.5, 1.5, shape)
        elif key.endswith("running_mean"):
            value = rs.uniform(-0.2, 0.2, shape)
        elif len(shape) == 1:
            value = rs.uniform(0.8, 1.2, shape) if key.endswith("weight") else rs.uniform(-0.1, 0.1, shape)
        else:
            value = rs.standard_normal(shape) * (1.4 / np.sqrt(np.prod(shape[1:])))
        weights[key] = torch.from_numpy(value.astype(np.float32))
    return weights


@pytest.fixture(scope="session")
def reference() -> Callable[[str], ReferenceCase]:
    """Loads a case of `tests/data/reference` by name; a missing file is a failure."""

    def load(name: str) -> ReferenceCase:
        folder = REFERENCE
        description = json.loads((folder / f"{name}.json").read_text())
        images = np.random.RandomState(1234).uniform(0, 1, description["input_shape"]).astype(np.float32)
        with np.load(folder / f"{name}.npz") as arrays:
            outputs = {key: torch.from_numpy(arrays[key]) for key in arrays}
        return ReferenceCase(known_weights(description["state_dict"]), torch.from_numpy(images), outputs)

    return load


@pytest.fixture(scope="session")
def difference() -> Callable[[Tensor, Tensor], float]:
    """The largest difference of two tensors of equal shape, relative to the second one's largest value."""

    def relative(actual: Tensor, wanted: Tensor) -> float:
        assert actual.shape == wanted.shape
        return ((actual - wanted).abs().max() / wanted.abs().max()).item()

    return relative


@pytest.fixture(scope="session")
def randomise() -> Callable[[nn.Module], None]:
    """Gives a fresh network weights under which every part of it matters.

    Fresh transformers end in zeros and fresh norms do nothing: a mistake in them would show in no output.
    """

    def fill(module: nn.Module) -> None:
        with torch.no_grad():
            for parameter in module.parameters():
                if not parameter.any():
                    parameter.normal_(std=0.1)
            for layer in module.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.running_mean.uniform_(-0.2, 0.2)
                    layer.running_var.uniform_(0.5, 1.5)
                    layer.weight.uniform_(0.8, 1.2)

    return fill


@pytest.fixture(scope="session")
def spread_out() -> Callable[[nn.Module, nn.Linear | nn.Conv2d, Tensor], None]:
    """Scales and shifts a network's last layer so that over some images every class wins somewhere."""

    def change(module: nn.Module, last: nn.Linear | nn.Conv2d, images: Tensor) -> None:
        with torch.no_grad():
            outputs = module(images)
            logits = outputs["out"] if isinstance(outputs, dict) else outputs
            logits = logits.transpose(0, 1).flatten(1)  # [B, K, ...] -> [K, B * ...]
            mean, std = logits.mean(dim=1), logits.std(dim=1).clamp(min=1e-6)
            last.weight /= std.view(-1, *[1] * (last.weight.dim() - 1))
            last.bias.copy_((last.bias - mean) / std)

    return change


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
