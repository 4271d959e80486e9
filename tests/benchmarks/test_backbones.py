import pytest

from mvdet.benchmarks.backbones import inference, training

pytest.importorskip("timm")
pytest.importorskip("transformers")


@pytest.mark.parametrize("variant", ["mobilevit_xxs", "mobilevitv2_050"])
def test_rows_compare_equal_outputs(variant: str) -> None:
    rows = list(inference(variant, batches=(1,), sizes=(64,), repeats=2))
    assert len(rows) == 6
    assert all(row.difference is not None and row.difference < 1e-4 for row in rows if row.rival != "transformers")
    steps = list(training(variant, batch=2, size=64, repeats=2))
    assert [row.rival for row in steps] == ["timm", "timm, channels_last", "transformers"]
    assert all(row.times.ratio > 0 for row in rows + steps)
