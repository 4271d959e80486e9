from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mvdet import create_backbone, create_model, list_backbones
from mvdet.backbones import VARIANTS
from mvdet.checkpoints import describe_weights, export_state_dict
from mvdet.checkpoints.formats import FORMATS


@pytest.mark.parametrize("source", list(FORMATS))
@pytest.mark.parametrize("name", list_backbones())
def test_classifiers(name: str, source: str, tmp_path: Path) -> None:
    torch.save(export_state_dict(create_model(name, num_classes=7), source), tmp_path / "w.pt")
    info = describe_weights(tmp_path / "w.pt")
    spec = VARIANTS[name]
    width = spec.expand_channels or spec.stages[-1].out_channels
    assert (info.source, info.variants, info.task, info.num_classes) == (source, (name,), "classification", 7)
    assert info.num_params == spec.num_params - 993 * (width + 1)
    assert info.bgr == (spec.version == 1 and source in ("cvnets", "transformers"))


@pytest.mark.parametrize(
    ("name", "task", "classes", "params"),
    [
        ("ssdlite_mobilevit_s", "detection", 81, 5_738_826),
        ("ssdlite_mobilevitv2_100", "detection", 81, 5_608_883),
        ("deeplabv3_mobilevit_s", "segmentation", 21, 6_357_941),
    ],
)
def test_detectors_and_segmenters(
    name: str, task: str, classes: int, params: int, reference: Callable, tmp_path: Path
) -> None:
    torch.save(reference(name).state_dict, tmp_path / "w.pt")
    info = describe_weights(tmp_path / "w.pt")
    assert (info.source, info.variants) == ("cvnets", (name.split("_", 1)[1],))
    assert (info.task, info.num_classes, info.num_params) == (task, classes, params)


def test_backbones_of_few_levels(tmp_path: Path) -> None:
    torch.save(create_backbone("mobilevit_s", out_strides=(2,)).state_dict(), tmp_path / "w.pt")
    info = describe_weights(tmp_path / "w.pt")
    assert (info.variants, info.task, info.num_classes) == (("mobilevit_xs", "mobilevit_s"), "backbone", None)


def test_strangers(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w.pt: not a MobileViT state dict of a known source"):
        describe_weights(tmp_path / "w.pt")
    widened = create_model("mobilevit_xxs").state_dict()
    widened["backbone.stages.0.0.project.conv.weight"] = torch.zeros(17, 32, 1, 1)
    torch.save(widened, tmp_path / "w.pt")
    assert describe_weights(tmp_path / "w.pt").variants == ()
