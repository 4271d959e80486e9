"""What the multi-scale sampler is for, measured: steps, time and accuracy against one fixed size."""

import dataclasses
import gc
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from matplotlib.figure import Figure
from pytorch_lightning.callbacks import Timer
from torch.utils.data import DataLoader

from mvdet.checkpoints import load_weights
from mvdet.data.datasets.classification import stack_labels
from mvdet.data.datasets.detection import collate, init_worker
from mvdet.evaluation.metrics.classification import correct_at
from mvdet.models.inputs import as_input
from mvdet.models.registry import create_model
from mvdet.training.classification import ClassificationRecipe, classification_dataset, classification_task
from mvdet.training.recipe import Sampler
from mvdet.training.run import train

SAMPLERS: tuple[Sampler, ...] = ("fixed", "multi-scale")


@dataclasses.dataclass(frozen=True, slots=True)
class SamplerRun:
    """One training run.

    Attributes:
        sampler: its sampler.
        seed: of everything random.
        steps: optimiser steps.
        epoch_seconds: wall time of one epoch, without evaluation.
        accuracy: top-1 by side of the test images, in pixels.
    """

    sampler: Sampler
    seed: int
    steps: int
    epoch_seconds: float
    accuracy: dict[int, float]


def compare_samplers(
    recipe: ClassificationRecipe, output: Path, *, seeds: Sequence[int], test_sizes: Sequence[int]
) -> Iterator[SamplerRun]:
    """Train with each sampler and seed on the same images, so many epochs each.

    The fixed size is the recipe's largest, and a step there has the images that the multi-scale sampler gives it.
    Seeds take turns, so that a drift of the machine meets all samplers.

    Args:
        recipe: sizes, batch and all else; `size` is the multi-scale sampler's base.
        output: folder of the runs.
        seeds: one run of each sampler for each.
        test_sizes: sides of the square test images, in pixels.

    Yields:
        A result as soon as it is there.
    """
    pixels = recipe.batch_size * recipe.size[0] * recipe.size[1]
    at_largest = max(1, pixels // (recipe.max_size[0] * recipe.max_size[1]))
    for seed in seeds:
        for sampler in SAMPLERS:
            changes: dict[str, Any] = {}
            if sampler == "fixed":
                changes = {"size": recipe.max_size, "batch_size": at_largest}
            folder = output / f"{sampler}-{seed}"
            run = dataclasses.replace(
                recipe, sampler=sampler, seed=seed, output=folder, evaluate_every=recipe.epochs, **changes
            )
            # The loaders of the run before lie in a reference cycle. Their workers end now, and not in a worker of the
            # next run, which has a copy of them and would complain that they are not its children.
            gc.collect()
            timer = Timer()
            best = train(run, classification_task, "samplers", callbacks=[timer]).best
            assert best is not None
            seconds = timer.time_elapsed("train") - timer.time_elapsed("validate")
            steps = torch.load(best, weights_only=True)["global_step"]
            accuracy = {side: _accuracy(run, best, side) for side in test_sizes}
            yield SamplerRun(sampler, seed, steps, seconds / recipe.epochs, accuracy)


def write_report(runs: Sequence[SamplerRun], output: Path) -> str:
    """Write `table.md` and `accuracy.png` to the folder of the runs; returns the table."""
    text = table(runs)
    (output / "table.md").write_text(text + "\n", encoding="utf-8")
    plot(runs, output / "accuracy.png")
    return text


def table(runs: Sequence[SamplerRun]) -> str:
    """Markdown: a row for each sampler, mean and standard deviation over the seeds."""
    sizes = list(runs[0].accuracy)
    lines = [f"| sampler | steps | seconds an epoch | {' | '.join(f'top-1 at {side}' for side in sizes)} |"]
    lines.append("|---" * (3 + len(sizes)) + "|")
    for sampler, mine in _by_sampler(runs).items():
        cells = [_spread([float(run.steps) for run in mine], 0), _spread([run.epoch_seconds for run in mine], 1)]
        cells += [_spread([100 * run.accuracy[side] for run in mine], 1) for side in sizes]
        lines.append(f"| {sampler} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(runs: Sequence[SamplerRun], file: Path) -> None:
    """Accuracy over the size of the test images, a line for each sampler with its standard deviation, as a PNG."""
    figure = Figure(figsize=(6, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for sampler, mine in _by_sampler(runs).items():
        sizes = list(mine[0].accuracy)
        values = [[100 * run.accuracy[side] for run in mine] for side in sizes]
        spread = [stdev(v) if len(v) > 1 else 0.0 for v in values]
        axes.errorbar(sizes, [mean(v) for v in values], spread, marker="o", capsize=3, label=sampler)
    axes.set(xlabel="side of the test images, pixels", ylabel="top-1, %", xticks=list(runs[0].accuracy))
    axes.grid(alpha=0.3)
    axes.legend(title="sampler in training")
    figure.savefig(file, format="png")


def _accuracy(recipe: ClassificationRecipe, checkpoint: Path, side: int) -> float:
    """Top-1 on the validation images at one size."""
    dataset = classification_dataset(dataclasses.replace(recipe, size=(side, side)), train=False)
    model = create_model(recipe.backbone, num_classes=len(dataset.class_names)).eval()
    load_weights(model, checkpoint)
    loader = DataLoader(
        dataset, recipe.batch_size, num_workers=recipe.workers, collate_fn=collate, worker_init_fn=init_worker
    )
    right: list[bool] = []
    with torch.inference_mode():
        for images, targets in loader:
            right += [first for first, _ in correct_at(model(as_input(images)), stack_labels(targets))]
    return mean(right)


def _by_sampler(runs: Sequence[SamplerRun]) -> dict[str, list[SamplerRun]]:
    return {
        name: [run for run in runs if run.sampler == name] for name in SAMPLERS if any(r.sampler == name for r in runs)
    }


def _spread(values: Sequence[float], digits: int) -> str:
    """Mean and standard deviation."""
    deviation = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):.{digits}f}{deviation}"
