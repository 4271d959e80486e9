"""`torchvision.models.get_model("mobilevit_s", weights=...)` after `import mvdet`."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image

import mvdet
import mvdet.torchvision
from mvdet.backbones import VARIANTS
from mvdet.checkpoints.download import cache_dir

get_model = torchvision.models.get_model


def python(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "imports",
    [
        "import mvdet.torchvision, torchvision",
        "import torchvision, mvdet.torchvision",
        "import mvdet, torchvision; mvdet.create_backbone('mobilevit_xxs'); import mvdet.torchvision",
    ],
)
def test_importing_mvdets_module_is_enough_in_any_order(imports: str) -> None:
    result = python(f"{imports}; print('mobilevit_xxs' in torchvision.models.list_models())")
    assert (result.stdout, result.stderr) == ("True\n", "")


def test_importing_mvdet_changes_nothing_in_the_process() -> None:
    code = (
        "import sys, os; finders, hooks, environment = list(sys.meta_path), list(sys.path_hooks), dict(os.environ); "
        "import mvdet, mvdet.models, mvdet.data, mvdet.backbones; "
        "print(finders == sys.meta_path, hooks == sys.path_hooks, environment == dict(os.environ))"
    )
    assert python(code).stdout == "True True True\n"


def test_torchvision_alone_knows_nothing_of_us() -> None:
    code = "import sys, torchvision; print('mobilevit_xxs' in torchvision.models.list_models(), 'mvdet' in sys.modules)"
    assert python(code).stdout == "False False\n"


@pytest.mark.parametrize("name", mvdet.list_backbones())
def test_every_variant(name: str) -> None:
    model = get_model(name)
    assert sum(p.numel() for p in model.parameters()) == VARIANTS[name].num_params
    weights = torchvision.models.get_model_weights(name)
    assert weights.DEFAULT is weights["APPLE_IN1K"]
    assert torchvision.models.get_weight(f"{weights.__name__}.TIMM_IN1K") is weights["TIMM_IN1K"]
    for member in weights:
        (value,) = member.meta["_metrics"]["ImageNet-1k"].values()
        assert member.meta["num_params"] == VARIANTS[name].num_params
        assert value is None or 60 < value < 90
        assert len(member.meta["categories"]) == 1000
        assert member.url.startswith("https://")
        assert pickle.loads(pickle.dumps(member)) is member
        assert copy.deepcopy(member) is member


def test_members_pass_to_a_fresh_process() -> None:
    member = torchvision.models.get_model_weights("mobilevit_s").DEFAULT
    result = python(f"import pickle; print(pickle.loads({pickle.dumps(member)!r}).meta['name'])")
    assert (result.stdout, result.stderr) == ("mobilevit_s.apple_in1k\n", "")


def test_transforms_are_the_published_ones() -> None:
    weights = torchvision.models.get_model_weights("mobilevit_s")
    images = weights.DEFAULT.transforms()(Image.new("RGB", (640, 480), (255, 0, 0)))
    assert images.shape == (3, 256, 256)
    assert torch.equal(images[:, 0, 0], torch.tensor([1.0, 0.0, 0.0]))  # RGB in [0, 1], nothing subtracted
    assert weights.DEFAULT.transforms().resize_size == [288]
    assert weights.DEFAULT.meta["preprocessing"]["channel_order"] == "BGR"


@pytest.mark.parametrize(
    "weights", ["DEFAULT", "MobileViT_XXS_Weights.DEFAULT", "APPLE_IN1K", "apple", "enum", "path", "Path"]
)
def test_weights(weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = cache_dir() / "mobilevit_xxs.apple_in1k.pt"
    path.parent.mkdir(parents=True)
    source = mvdet.create_model("mobilevit_xxs")
    torch.save(mvdet.checkpoints.export_state_dict(source, "cvnets"), path)
    enum = torchvision.models.get_model_weights("mobilevit_xxs")
    model = get_model(
        "mobilevit_xxs",
        weights={"enum": enum.DEFAULT, "path": str(path), "Path": path}.get(weights, weights),
        progress=False,
    )
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in source.state_dict().items())
    state_dict = enum.DEFAULT.get_state_dict(progress=False, check_hash=True)
    assert torch.equal(state_dict["head.weight"], source.head.weight)
    with pytest.raises(ValueError, match="have 1000 classes, the model has 5"):
        get_model("mobilevit_xxs", weights=enum.DEFAULT, num_classes=5)


def test_weights_of_another_model() -> None:
    with pytest.raises(TypeError, match="expected MobileViT_S_Weights but received MobileViT_XS_Weights"):
        get_model("mobilevit_s", weights=torchvision.models.get_model_weights("mobilevit_xs").DEFAULT)
    with pytest.raises(
        TypeError, match=r"expected a member of MobileViT_S_Weights, got 'MobileViT_XS_Weights.DEFAULT'"
    ):
        get_model("mobilevit_s", weights="MobileViT_XS_Weights.DEFAULT")
    with pytest.raises(TypeError, match="pretrained"):
        get_model("mobilevit_s", pretrained=True)


def test_registering_again_changes_nothing() -> None:
    before = torchvision.models.get_model_builder("mobilevit_s")
    mvdet.torchvision.register()
    assert torchvision.models.get_model_builder("mobilevit_s") is before
