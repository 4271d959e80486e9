"""mvdet's pyramids against the practical limit: the same graph under runtimes that plan it as a whole."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mvdet.benchmarks.comparison import Comparison
from mvdet.benchmarks.measure import PairedTimes, time_in_turn
from mvdet.benchmarks.rivals import all_levels, relative_difference

OPSET = 17
Runtime = Callable[[np.ndarray], list[np.ndarray]]


def runtimes(
    variant: str, *, batches: tuple[int, ...], size: int, repeats: int = 15, seconds: float = 15.0
) -> Iterator[Comparison]:
    """Mvdet's fused pyramid in eager PyTorch against both runtimes on as many threads; below 1 the runtime is faster.

    The graph is exported for the very size, and its sizes are constants: what a runtime can do best.

    Args:
        variant: name of the backbone.
        batches: numbers of images, a case each.
        size: side of the square images in pixels.
        repeats: rounds of each case, at most.
        seconds: time after which a case ends; see `time_in_turn`.

    Yields:
        For each case the comparison with each runtime.
    """
    model = all_levels(variant).eval().fuse()
    for batch in batches:
        images = torch.rand(batch, 3, size, size)
        with tempfile.TemporaryDirectory() as folder:
            file = export_onnx(model, images, Path(folder) / "model.onnx")
            rivals = {"ONNX Runtime": onnx_runtime(file), "OpenVINO": openvino(file)}
        array = images.numpy()
        runs: list[Callable[[], Any]] = [partial(_infer, model, images)]
        runs += [partial(runtime, array) for runtime in rivals.values()]
        times = time_in_turn(runs, repeats=repeats, warmup=1, seconds=seconds)
        wanted = _infer(model, images)
        for (name, runtime), other in zip(rivals.items(), times[1:], strict=True):
            difference = relative_difference([torch.from_numpy(x) for x in runtime(array)], wanted)
            yield Comparison(variant, "inference, fused", batch, size, name, PairedTimes(times[0], other), difference)


def export_onnx(model: torch.nn.Module, images: Tensor, file: Path) -> Path:
    """Export the graph for images of this very shape; returns the file."""
    torch.onnx.export(model, (images,), file, opset_version=OPSET, dynamo=False)
    return file


def onnx_runtime(file: Path) -> Runtime:
    """A session on as many threads as PyTorch has."""
    import onnxruntime  # optional; its threads stay in the process

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})


def openvino(file: Path) -> Runtime:
    """A compiled model on as many threads as PyTorch has, in float32, for the shortest single call."""
    from openvino import Core  # optional; its threads stay in the process

    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = Core().compile_model(file, "CPU", settings)
    return lambda images: list(compiled(images).to_tuple())


def _infer(model: torch.nn.Module, images: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        maps: list[Tensor] = model(images)
        return maps
