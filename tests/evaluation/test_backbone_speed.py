import pytest

from mvdet.evaluation.backbone_speed import inference_rows, training_row

pytest.importorskip("timm")
pytest.importorskip("transformers")


@pytest.mark.parametrize("variant", ["mobilevit_xxs", "mobilevitv2_050"])
def test_rows_compare_equal_outputs(variant: str) -> None:
    rows = list(inference_rows(variant, batches=(1,), size=64, repeats=2))
    assert len(rows) == 6
    assert all(row.difference < 1e-4 for row in rows if row.rival != "transformers")
    assert all(row.times.ratio > 0 for row in rows)
    assert training_row(variant, batch=2, size=64, repeats=2).times.ratio > 0
