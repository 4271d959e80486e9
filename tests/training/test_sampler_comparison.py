"""The comparison of samplers: its table, its plot, and one as small as it can be."""

from pathlib import Path

import pytest
from PIL import Image

from mvdet.data.shapes.dataset import generate_classification
from mvdet.training.classification import ClassificationRecipe
from mvdet.training.sampler_comparison import SamplerRun, compare_samplers, table, write_report

RUNS = [
    SamplerRun("fixed", 0, 100, 2.0, {64: 0.5, 96: 0.75}),
    SamplerRun("multi-scale", 0, 80, 1.5, {64: 0.6, 96: 0.7}),
    SamplerRun("fixed", 1, 100, 4.0, {64: 0.7, 96: 0.75}),
]


def test_the_table_has_mean_and_deviation() -> None:
    head, _, fixed, varied = table(RUNS).splitlines()
    assert head == "| sampler | steps | seconds an epoch | top-1 at 64 | top-1 at 96 |"
    assert fixed == "| fixed | 100 ± 0 | 3.0 ± 1.4 | 60.0 ± 14.1 | 75.0 ± 0.0 |"
    assert varied == "| multi-scale | 80 | 1.5 | 60.0 | 70.0 |"


def test_the_report(tmp_path: Path) -> None:
    assert write_report(RUNS, tmp_path) == table(RUNS)
    assert (tmp_path / "table.md").read_text() == table(RUNS) + "\n"
    assert Image.open(tmp_path / "accuracy.png").size == (720, 480)


@pytest.mark.slow
def test_a_small_one(tmp_path: Path) -> None:
    data = generate_classification(tmp_path / "shapes", num_train=10, num_val=10)
    recipe = ClassificationRecipe(
        data_format="folder",
        data_root=data,
        backbone="mobilevit_xxs",
        size=(64, 64),
        min_size=(32, 32),
        max_size=(64, 64),
        num_sizes=2,
        batch_size=8,
        epochs=1,
        workers=0,
        accelerator="cpu",
    )
    runs = list(compare_samplers(recipe, tmp_path / "runs", seeds=[3], test_sizes=[32, 64]))
    assert [(run.sampler, run.seed, set(run.accuracy)) for run in runs] == [
        ("fixed", 3, {32, 64}), ("multi-scale", 3, {32, 64}),
    ]  # fmt: skip
    assert all(run.steps >= 1 and run.epoch_seconds > 0 for run in runs)
