"""Which network a state dict is of. Whole files of every source are tested in test_weights.py."""

from dataclasses import replace

import pytest
from torch import Tensor

from mvdet import create_backbone, create_model, list_backbones, list_models
from mvdet.backbones import VARIANTS
from mvdet.checkpoints.identify import (
    count_classes,
    find_task,
    find_variants,
    head_options,
    is_class_layer,
    variant_name,
)
from mvdet.tasks import task_of_model


def weights_of(name: str, **options: object) -> dict[str, Tensor]:
    return create_model(name, **options).state_dict()


@pytest.mark.parametrize("name", [name for name in list_models() if name.endswith(("_xxs", "_s", "_050"))])
def test_every_model(name: str) -> None:
    weights, task = weights_of(name, num_classes=7), task_of_model(name)
    assert (find_task(weights), count_classes(weights)) == (task.name, 7)
    assert find_variants(weights) == [name.removeprefix(task.prefix)]
    other = weights_of(name, num_classes=6)
    resized = {key for key, value in weights.items() if value.shape != other[key].shape}
    assert resized == {key for key in weights if is_class_layer(key, task.name)}


@pytest.mark.parametrize("options", [{"aspp_channels": 32, "aux_head": True}, {"aspp_channels": 64, "aux_head": False}])
def test_options_of_a_head(options: dict[str, object]) -> None:
    assert head_options(weights_of("deeplabv3_mobilevit_s", **options)) == options
    assert head_options(weights_of("ssdlite_mobilevit_s")) == {}


def test_backbones_have_no_head() -> None:
    weights = {f"backbone.{key}": value for key, value in create_backbone("mobilevit_xs").state_dict().items()}
    assert (find_task(weights), count_classes(weights), head_options(weights)) == ("backbone", None, {})
    assert not any(is_class_layer(key, "backbone") for key in weights)
    few = {key: value for key, value in weights.items() if not key.startswith("backbone.stages.")}
    assert find_variants(few) == []


@pytest.mark.parametrize("name", list_backbones())
def test_names_of_networks(name: str) -> None:
    assert variant_name(VARIANTS[name]) == name
    assert variant_name(replace(VARIANTS[name], classifier_dropout=0.9)) is None
