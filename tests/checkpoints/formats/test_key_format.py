from dataclasses import replace

import pytest
import torch

from mvdet import create_model, list_backbones
from mvdet.backbones import VARIANTS
from mvdet.checkpoints.convert import STEM
from mvdet.checkpoints.formats import FORMATS
from mvdet.checkpoints.formats.key_format import KeyFormat, Row
from mvdet.checkpoints.formats.transformers import TRANSFORMERS
from mvdet.checkpoints.identify import find_task

FOREIGN = [name for name, key_format in FORMATS.items() if key_format.rows]
NETWORKS = [
    (source, name)
    for source in FOREIGN
    for name in list_backbones()
    if VARIANTS[name].version in FORMATS[source].versions
]


@pytest.mark.parametrize(("source", "name"), NETWORKS)
def test_tables_are_their_own_inverse(source: str, name: str) -> None:
    with torch.device("meta"):
        weights = create_model(name).state_dict()
    written = FORMATS[source].write(weights, VARIANTS[name], find_task(weights))
    assert set(written) & set(weights) <= {STEM}  # which mmpretrain calls what we do
    read, leftovers = FORMATS[source].read(written)
    assert (read.keys(), leftovers) == (weights.keys(), [])


@pytest.mark.parametrize("source", FOREIGN)
def test_no_row_is_dead(source: str) -> None:
    """Without any one row, some published network's keys would be other ones, or missing."""
    rows = [row for row in FORMATS[source].rows if row.ours.startswith("backbone.") or row.ours == "head"]

    def written(rows: list[Row]) -> list[set[str] | None]:
        key_format, keys = replace(FORMATS[source], rows=tuple(rows)), []
        for name in [name for name in ("mobilevit_xxs", "mobilevitv2_050") if (source, name) in NETWORKS]:
            with torch.device("meta"):
                weights = create_model(name).state_dict()
            try:
                keys.append(set(key_format.write(weights, VARIANTS[name], "classification")))
            except ValueError:
                keys.append(None)
        return keys

    complete = written(rows)
    assert None not in complete
    for row in rows:
        assert written([other for other in rows if other is not row]) != complete, row


def test_two_keys_for_one_parameter() -> None:
    key_format = KeyFormat("theirs", "x", (Row("backbone.a", "a"), Row("backbone.a", "b")))
    with pytest.raises(ValueError, match=r"two keys stand for backbone.a.weight: a.weight and b.weight"):
        key_format.read({"a.weight": torch.zeros(1), "b.weight": torch.zeros(1)})


def test_half_of_a_stacked_parameter() -> None:
    prefix = "encoder.layer.2.transformer.layer.0.attention.attention"
    with pytest.raises(ValueError, match=r"attn.qkv.weight needs 3 tensors, only .*query.weight, .*value.weight is"):
        TRANSFORMERS.read({f"{prefix}.query.weight": torch.zeros(1), f"{prefix}.value.weight": torch.zeros(1)})


def test_parameters_without_a_name_are_listed() -> None:
    with pytest.raises(ValueError, match=r"timm has no name for 1 keys: head.aspp.project.conv.weight"):
        FORMATS["timm"].write(
            {"head.aspp.project.conv.weight": torch.zeros(1)}, VARIANTS["mobilevit_s"], "segmentation"
        )
