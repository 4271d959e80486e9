"""Models by name; what each class builds is tested with the class, weights in tests/checkpoints/test_weights.py."""

import pytest

from mvdet import create_model, list_backbones, list_models
from mvdet.models import DeepLabV3, MobileViTClassifier, SSDLite
from mvdet.models.registry import MODELS, build_detector
from mvdet.tasks import TASKS, task_of_keys


def test_every_name_builds_a_model_of_its_task() -> None:
    classes = {"classification": MobileViTClassifier, "detection": SSDLite, "segmentation": DeepLabV3}
    assert classes == MODELS
    assert list_models()[:2] == ["mobilevit_xxs", "mobilevit_xs"]
    assert set(list_models()) == {task.prefix + name for task in TASKS.values() for name in list_backbones()}
    for name in ("mobilevitv2_050", "ssdlite_mobilevitv2_050", "deeplabv3_mobilevitv2_050"):
        model = create_model(name)
        task = task_of_keys(model.state_dict())
        assert task is not None
        assert type(model) is classes[task.name]


@pytest.mark.parametrize("name", ["mobilevit_m", "ssdlite_mobilevit_m", "ssdlite", "resnet50", ""])
def test_names_that_nothing_bears(name: str) -> None:
    with pytest.raises(
        ValueError, match=f"unknown model {name!r}; .*available: mobilevit_xxs, .*deeplabv3_mobilevitv2_200"
    ):
        create_model(name)


def test_the_nearest_names_are_named() -> None:
    with pytest.raises(ValueError, match="unknown model 'mobilevit_m'; did you mean mobilevit_"):
        create_model("mobilevit_m")


def test_options_that_the_model_does_not_have() -> None:
    with pytest.raises(TypeError, match="unknown option of mobilevit_xxs 'droput'; did you mean dropout"):
        create_model("mobilevit_xxs", droput=0.1)
    with pytest.raises(TypeError, match="unknown option of mobilevit_xxs 'spec'"):
        create_model("mobilevit_xxs", spec=None)


def test_detectors_of_ours_and_of_torchvisions() -> None:
    ours = build_detector("ssdlite_mobilevit_xxs", 5, {"size": (64, 96)})
    theirs = build_detector("torchvision/ssdlite320_mobilenet_v3_large", 5, {})
    assert (type(ours), ours.num_classes, ours.size) == (SSDLite, 5, (64, 96))
    assert theirs.head.classification_head.num_columns == 5
    with pytest.raises(
        ValueError, match=r"unknown model 'torchvision/ssd'; available: torchvision/fasterrcnn_.*, torchv"
    ):
        build_detector("torchvision/ssd", 5, {})
