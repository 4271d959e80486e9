import re
import time

import pytest

from mvdet import create_backbone, create_model
from mvdet.backbones import VARIANTS
from mvdet.checkpoints import export_state_dict
from mvdet.checkpoints.formats import FORMATS, detect_format, get_format
from mvdet.tasks import TASKS

NETWORKS = [
    (target, name)
    for target, key_format in FORMATS.items()
    for name in ("mobilevit_xxs", "mobilevitv2_050")
    if VARIANTS[name].version in key_format.versions
]


@pytest.mark.parametrize(("target", "name"), NETWORKS)
def test_sources_are_recognised_by_their_keys(target: str, name: str) -> None:
    for model in (create_model(name), create_backbone(name), create_backbone(name, out_strides=(2,))):
        keys = export_state_dict(model, target)
        assert [f.name for f in FORMATS.values() if f.recognises(keys)] == [target]
        assert detect_format(f"module.{key}" for key in keys).name == target


def test_unknown_keys_are_listed() -> None:
    message = (
        r"not a MobileViT state dict of a known source \(cvnets, timm, transformers, mmpretrain, mvdet\): fc.weight"
    )
    with pytest.raises(ValueError, match=message):
        detect_format(["fc.weight"])
    with pytest.raises(
        ValueError, match="source must be one of cvnets, timm, transformers, mmpretrain, mvdet, got 'keras'"
    ):
        get_format("keras")


@pytest.mark.parametrize("source", [name for name, key_format in FORMATS.items() if key_format.rows])
def test_every_head_that_others_have_is_one_of_ours(source: str) -> None:
    modules = {re.sub(r"\{\w+\}|\d+", "0", row.ours) for row in FORMATS[source].rows if "head" in row.ours}
    assert modules <= {module for task in TASKS.values() for module in task.head}


def test_long_keys_are_recognised_or_not_in_no_time() -> None:
    start = time.monotonic()
    with pytest.raises(ValueError, match="not a MobileViT state dict"):
        detect_format(["layer_1.0." + "1" * 200_000, "encoder.layer_" + "1" * 200_000, "layer_1.1" * 20_000])
    assert time.monotonic() - start < 2
