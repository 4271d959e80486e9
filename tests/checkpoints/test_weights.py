"""`weights=`: names, files, folders and opened files, wherever they are taken; and what a file is.

Downloads are tested in test_download.py.
"""

import argparse
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mvdet import create_backbone, create_model
from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.variants import VARIANTS
from mvdet.checkpoints import (
    describe_weights,
    export_state_dict,
    load_weights,
    manifest,
    open_weights,
    read_state_dict,
    read_weights,
)
from mvdet.checkpoints import weights as weights_module
from mvdet.checkpoints.formats import FORMATS
from mvdet.checkpoints.manifest import PublishedWeights
from mvdet.checkpoints.rewrite import rewrite_weights

NAME = "mobilevit_xxs"


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Files that stand for downloaded ones: every request for published weights is answered from here."""
    files: dict[str, Path] = {}

    def read_published(entry: PublishedWeights) -> tuple[Path, dict[str, torch.Tensor]]:
        path = files[entry.name] = tmp_path / f"{entry.name}.pt"
        if not path.exists():
            torch.manual_seed(len(entry.name))
            torch.save(create_model(entry.variant).state_dict(), path)
        return path, read_state_dict(path)

    monkeypatch.setattr(weights_module, "read_published", read_published)
    for name, entry in manifest.manifest().items():  # ours in place of theirs: names, not formats, are tested here
        monkeypatch.setitem(manifest.manifest(), name, replace(entry, format="mvdet", channel_order="RGB"))
    return files


@pytest.mark.parametrize("weights", ["DEFAULT", "apple", "timm", "transformers", "apple_in1k", f"{NAME}.timm_in1k"])
def test_names(weights: str, published: dict[str, Path]) -> None:
    backbone, model = create_backbone(NAME, weights=weights), create_model(NAME, weights=weights)
    (path,) = published.values()
    assert path.name.startswith(f"{NAME}.{weights.removeprefix(NAME + '.').replace('DEFAULT', 'apple')}")
    wanted = torch.load(path, weights_only=True)
    assert torch.equal(model.head.weight, wanted["head.weight"])
    assert torch.equal(backbone.stem.conv.weight, wanted["backbone.stem.conv.weight"])


def test_a_name_of_another_model(published: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"'mobilevit_s.apple_in1k' are mobilevit_s's for classification, the"):
        create_backbone(NAME, weights="mobilevit_s.apple_in1k")
    with pytest.raises(ValueError, match=r"unknown weights 'apple_in1k_384'; did you mean apple_in1k"):
        create_backbone(NAME, weights="apple_in1k_384")
    assert not published


def test_a_path_is_no_name(published: dict[str, Path]) -> None:
    with pytest.raises(FileNotFoundError, match="weights file not found: apple;"):
        create_backbone(NAME, weights=Path("apple"))


@pytest.mark.parametrize(
    ("weights", "hint"),
    [("aple", "did you mean apple? names"), ("x/y.pt", "names for this model: DEFAULT, apple, timm, transformers, ap")],
)
def test_neither_name_nor_file(weights: str, hint: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        create_model(NAME, weights=weights)
    assert f"weights file not found: {weights}; {hint}" in str(caught.value)


def test_auto_takes_the_variant_from_the_weights(tmp_path: Path) -> None:
    torch.save(create_model("mobilevitv2_075").state_dict(), tmp_path / "w.pt")
    assert create_backbone("auto", weights=tmp_path / "w.pt").channels == (192, 288, 384)
    assert create_model("auto", weights=tmp_path / "w.pt").backbone.spec.num_params == 2_866_009
    with pytest.raises(ValueError, match="'auto' takes the variant from the weights, and there are none"):
        create_backbone("auto")
    torch.save(create_backbone("mobilevit_xs", out_strides=(2,)).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w.pt: could be mobilevit_xs or mobilevit_s; name the one you mean"):
        create_backbone("auto", weights=tmp_path / "w.pt")


def test_source_and_channel_order_can_be_given(tmp_path: Path) -> None:
    backbone = create_backbone(NAME)
    torch.save(backbone.state_dict(), tmp_path / "w.pt")
    flipped = read_weights(tmp_path / "w.pt", to=backbone, source="mvdet", bgr=True)
    assert torch.equal(flipped["stem.conv.weight"], backbone.stem.conv.weight.flip(1))
    with pytest.raises(ValueError, match=r"w.pt: the weights are not of this model; \d+ keys that the model does not"):
        read_weights(tmp_path / "w.pt", to=backbone, source="timm")


def test_a_file_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    weights = create_backbone(NAME).state_dict()
    weights.popitem()
    torch.save(weights, tmp_path / "w.pt")
    model = create_backbone(NAME)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"w.pt: the weights are not of this model; 1 keys of the model are not in"):
        load_weights(model, tmp_path / "w.pt")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ["ssdlite_mobilevit_s", "deeplabv3_mobilevit_s"])
def test_a_detectors_file_gives_its_backbone(name: str, reference: Callable, tmp_path: Path) -> None:
    torch.save(reference(name).state_dict, tmp_path / "w.pt")
    backbone = create_backbone("auto", weights=tmp_path / "w.pt")
    assert backbone.channels == (96, 128, 160)


@pytest.mark.parametrize(
    "wrap", ["state_dict_ema", "ema_state_dict", "model_ema", "state_dict", "compiled", "lightning"]
)
def test_what_training_code_wraps_weights_in(wrap: str, tmp_path: Path) -> None:
    model, last = create_model(f"ssdlite_{NAME}", num_classes=4), create_model(f"ssdlite_{NAME}", num_classes=4)
    good = model.state_dict()
    content = {
        "model_ema": {
            "model": last.state_dict(),
            "model_ema": torch.optim.swa_utils.AveragedModel(model).state_dict(),
        },
        "ema_state_dict": {"model_state_dict": last.state_dict(), "ema_state_dict": good},
        "state_dict_ema": {"state_dict": last.state_dict(), "state_dict_ema": good},
        "state_dict": {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in good.items()}},
        "compiled": torch.compile(model).state_dict(),
        "lightning": {"epoch": 3, "state_dict": {f"model.{key}": value for key, value in good.items()}},
    }[wrap]
    torch.save(content, tmp_path / "best.ckpt")
    loaded = create_model(f"ssdlite_{NAME}", num_classes=4)
    load_weights(loaded, tmp_path / "best.ckpt")
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in good.items())
    backbone = create_backbone("auto", weights=tmp_path / "best.ckpt")
    assert torch.equal(backbone.stem.conv.weight, good["backbone.stem.conv.weight"])


PREFIXES = ("model.", "module.", "_orig_mod.", "ema.", "ema_model.", "net.", "student.encoder.")
PREFIXES += ("_forward_module.model.", "module._orig_mod.", "_orig_mod.module.", "model._orig_mod.", "model.module.")
NESTED = "ema.module._orig_mod."


@pytest.mark.parametrize(
    ("source", "prefix"),
    [
        *((source, NESTED) for source in FORMATS),
        *((source, prefix) for source in ("mvdet", "timm") for prefix in PREFIXES),
    ],
)
def test_whatever_stands_before_the_keys(
    source: str, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = create_model(NAME, num_classes=3)
    weights = export_state_dict(model, source)
    torch.save({prefix + key: value for key, value in weights.items()}, tmp_path / "w.pth")
    info = describe_weights(tmp_path / "w.pth")
    assert (info.source, info.variant, info.num_classes, info.leftovers) == (source, NAME, 3, [])
    loaded = create_model("auto", num_classes=3, weights=info)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in model.state_dict().items())
    assert not caplog.text
    rewrite_weights(info, tmp_path / "back.safetensors", to=source)
    back = read_state_dict(tmp_path / "back.safetensors")
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[key], value) for key, value in weights.items())


def test_a_compiled_backbone_inside_a_model(tmp_path: Path) -> None:
    model = create_model(f"ssdlite_{NAME}", num_classes=4)
    weights = {key.replace("backbone.", "backbone._orig_mod."): value for key, value in model.state_dict().items()}
    torch.save(weights, tmp_path / "w.pt")
    loaded = create_model(f"ssdlite_{NAME}", num_classes=4, weights=tmp_path / "w.pt")
    assert torch.equal(loaded.backbone.stem.conv.weight, model.backbone.stem.conv.weight)


@pytest.mark.parametrize("prefix", ["model.", ""])
def test_an_average_beside_its_network(prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    averaged, last = create_model(NAME), create_model(NAME)
    content = {prefix + key: value for key, value in export_state_dict(last, "timm").items()}
    content |= {f"ema_model.module.{key}": value for key, value in export_state_dict(averaged, "timm").items()}
    torch.save({"state_dict": content | {"initted": torch.tensor(True)}}, tmp_path / "w.ckpt")
    loaded = create_model(NAME, weights=tmp_path / "w.ckpt")
    assert torch.equal(loaded.head.weight, averaged.head.weight)
    shown = f"the network is under 'ema_model.'; {len(content) // 2} other keys left out: {prefix}stem.conv.weight, "
    assert f"{tmp_path / 'w.ckpt'}: {shown}" in caplog.text


def test_what_is_beside_the_network_is_said_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = create_model(NAME)
    content = {f"model.{key}": value for key, value in export_state_dict(model, "timm").items()}
    torch.save({"state_dict": content | {"loss.weight": torch.ones(3)}}, tmp_path / "w.ckpt")
    assert torch.equal(create_model(NAME, weights=tmp_path / "w.ckpt").head.weight, model.head.weight)
    assert caplog.messages == [
        f"{tmp_path / 'w.ckpt'}: the network is under 'model.'; 1 other keys left out: loss.weight"
    ]


def test_two_networks_that_nothing_tells_apart(tmp_path: Path) -> None:
    weights = export_state_dict(create_model(NAME), "timm")
    both = {f"{name}.{key}": value for name in ("student", "teacher") for key, value in weights.items()}
    torch.save(both, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w.pth: 2 networks are in it \(student., teacher.\); save the one that is"):
        create_model(NAME, weights=tmp_path / "w.pth")


@pytest.mark.parametrize("source", list(FORMATS))
def test_files_without_counters(source: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = create_model(NAME)
    weights = {k: v for k, v in export_state_dict(model, source).items() if not k.endswith("num_batches_tracked")}
    torch.save(weights, tmp_path / "w.pth")
    for loaded in (create_model(NAME, weights=tmp_path / "w.pth"), create_backbone(NAME, weights=tmp_path / "w.pth")):
        state = loaded.state_dict()
        assert all(not value for key, value in state.items() if key.endswith("num_batches_tracked"))
    assert not caplog.text
    rewrite_weights(tmp_path / "w.pth", tmp_path / "back.safetensors", to=source)
    back = read_state_dict(tmp_path / "back.safetensors")
    assert back.keys() == weights.keys()
    assert all(torch.equal(back[key], value) for key, value in weights.items())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (torch.float16, "float16, loaded as float32: no more exact than float16 is"),
        (torch.bfloat16, "bfloat16, loaded as float32: no more exact than bfloat16 is"),
        (torch.float64, "float64, loaded as float32: rounded"),
    ],
)
def test_other_precisions(
    dtype: torch.dtype, message: str, suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """All of it cast, the counters too, which half precision cannot hold."""
    path, model = tmp_path / f"w{suffix}", create_model(NAME)
    for key, value in model.state_dict().items():
        value.fill_(100_000) if key.endswith("num_batches_tracked") else None
    weights = {key: value.to(dtype) for key, value in export_state_dict(model, "timm").items()}
    (safetensors.torch.save_file if suffix == ".safetensors" else torch.save)(weights, path)
    read = read_weights(path, to=model)
    for key, value in model.state_dict().items():
        wanted = torch.zeros_like(value) if key.endswith("num_batches_tracked") else value.to(dtype).to(value.dtype)
        assert torch.equal(read[key], wanted)
        assert read[key].dtype is value.dtype
    assert caplog.messages == [f"{path}: the weights are {message}"]
    rewrite_weights(path, tmp_path / "back.safetensors", to="timm")
    back = read_state_dict(tmp_path / "back.safetensors")
    assert all(torch.equal(back[key], value) and back[key].dtype is dtype for key, value in weights.items())


def test_counters_for_a_network_without_memory(tmp_path: Path) -> None:
    weights = {k: v for k, v in create_backbone(NAME).state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(weights, tmp_path / "w.pth")
    with torch.device("meta"):
        backbone = create_backbone(NAME)
    assert not any(value.is_meta for value in read_weights(tmp_path / "w.pth", to=backbone).values())


def test_a_checkpoint_of_timms_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    saver = pytest.importorskip("timm.utils").CheckpointSaver
    timm = pytest.importorskip("timm")
    network, average = timm.create_model(NAME, num_classes=5), timm.create_model(NAME, num_classes=5)
    arguments = argparse.Namespace(model=NAME, lr=0.05, opt_kwargs={}, output=tmp_path)
    optimizer = torch.optim.AdamW(network.parameters())
    saved = saver(network, optimizer, args=arguments, checkpoint_dir=tmp_path, recovery_dir=tmp_path)
    saved.model_ema = types.SimpleNamespace(module=average)
    saved.unwrap_fn = lambda model: getattr(model, "module", model)
    saved.save_checkpoint(3, 71.5)
    path = tmp_path / "model_best.pth.tar"
    loaded = create_model("auto", num_classes=5, weights=path)
    assert torch.equal(loaded.head.weight, average.head.fc.weight)
    assert f"{path}: the averaged weights are taken: 'state_dict_ema', not 'state_dict'" in caplog.text
    for task in ("ssdlite_", "deeplabv3_"):
        model = create_model(f"{task}{NAME}", weights_backbone=path)
        assert torch.equal(model.backbone.stem.conv.weight, average.stem.conv.weight)


def test_half_of_a_file(tmp_path: Path) -> None:
    """What is missing is said with its number, not only that the head is."""
    weights = export_state_dict(create_model(NAME), "timm")
    torch.save(dict(list(weights.items())[: len(weights) // 2]), tmp_path / "w.pth")
    with pytest.raises(
        ValueError, match=r"w.pth: the weights are not of this model; 154 keys of the model are not in "
    ):
        create_model(NAME, weights=tmp_path / "w.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files_are_known_by_their_content(suffix: str, tmp_path: Path) -> None:
    weights = export_state_dict(create_backbone(NAME), "timm")
    (torch.save if suffix == ".safetensors" else safetensors.torch.save_file)(weights, tmp_path / f"w{suffix}")
    backbone = create_backbone(NAME, weights=tmp_path / f"w{suffix}")
    assert torch.equal(backbone.stem.conv.weight, weights["stem.conv.weight"])


def test_auto_with_names(published: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "timm").mkdir()
    monkeypatch.chdir(tmp_path)  # a folder called like a name changes nothing
    assert create_backbone("auto", weights=f"{NAME}.apple_in1k").spec is create_backbone(NAME).spec
    assert create_model("auto", weights="mobilevitv2_050.timm_in1k").backbone.spec.stem_channels == 16
    for weights in ("apple", "DEFAULT", "timm"):
        with pytest.raises(ValueError, match=f"weights '{weights}' names several variants"):
            create_backbone("auto", weights=weights)


@pytest.mark.parametrize("build", [create_model, create_backbone])
@pytest.mark.parametrize("name", [NAME, "auto"])
def test_weights_that_no_file_can_be_called(name: str, build: Callable) -> None:
    with pytest.raises(ValueError, match=r"weights must be a published name or the path of a file or folder, got ''"):
        build(name, weights="")
    with pytest.raises(FileNotFoundError, match=f"weights file not found: {'x' * 100}\\.\\.\\."):
        build(name, weights="x" * 100_000)


def test_a_network_that_nobody_published() -> None:
    spec = replace(VARIANTS[NAME], classifier_dropout=0.3)
    with pytest.raises(ValueError, match=r"unknown weights 'timm': nothing is published for such a network for class"):
        read_weights("timm", to=MobileViTBackbone(spec))


def test_head_is_checked_without_weights_too() -> None:
    with pytest.raises(ValueError, match="head must be 'load' or 'skip', got 'drop'"):
        create_model(NAME, head="drop")


class TestDescribe:
    """What a file is, without a model to load it into."""

    @pytest.mark.parametrize(
        ("source", "name"),
        [
            (source, name)
            for source in FORMATS
            for name in VARIANTS
            if VARIANTS[name].version in FORMATS[source].versions
        ],
    )
    def test_classifiers(self, source: str, name: str, tmp_path: Path) -> None:
        torch.save(export_state_dict(create_model(name, num_classes=7), source), tmp_path / "w.pt")
        info = describe_weights(tmp_path / "w.pt")
        spec = VARIANTS[name]
        width = spec.expand_channels or spec.stages[-1].out_channels
        assert (info.source, info.variants, info.task, info.num_classes) == (source, (name,), "classification", 7)
        assert info.num_params == spec.num_params - 993 * (width + 1)
        assert info.bgr == (spec.version == 1 and source in ("cvnets", "transformers", "mmpretrain"))

    @pytest.mark.parametrize(
        ("name", "task", "classes", "params"),
        [
            ("ssdlite_mobilevit_s", "detection", 81, 5_738_826),
            ("ssdlite_mobilevitv2_100", "detection", 81, 5_608_883),
            ("deeplabv3_mobilevit_s", "segmentation", 21, 6_357_941),
        ],
    )
    def test_detectors_and_segmenters(
        self, name: str, task: str, classes: int, params: int, reference: Callable, tmp_path: Path
    ) -> None:
        torch.save(reference(name).state_dict, tmp_path / "w.pt")
        info = describe_weights(tmp_path / "w.pt")
        assert (info.source, info.variants) == ("cvnets", (name.split("_", 1)[1],))
        assert (info.task, info.num_classes, info.num_params) == (task, classes, params)

    def test_backbones_of_few_levels(self, tmp_path: Path) -> None:
        torch.save(create_backbone("mobilevit_s", out_strides=(2,)).state_dict(), tmp_path / "w.pt")
        info = describe_weights(tmp_path / "w.pt")
        assert (info.variants, info.task, info.num_classes) == (("mobilevit_xs", "mobilevit_s"), "backbone", None)

    def test_strangers(self, tmp_path: Path) -> None:
        torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "w.pt")
        with pytest.raises(ValueError, match=r"w.pt: not a MobileViT state dict of a known source"):
            describe_weights(tmp_path / "w.pt")
        widened = create_model("mobilevit_xxs").state_dict()
        widened["backbone.stages.0.0.project.conv.weight"] = torch.zeros(17, 32, 1, 1)
        torch.save(widened, tmp_path / "w.pt")
        assert describe_weights(tmp_path / "w.pt").variants == ()

    def test_names_are_not_looked_up(self) -> None:
        with pytest.raises(FileNotFoundError, match=r"weights file not found: apple$"):
            describe_weights("apple")


class TestOpened:
    """An opened file, in place of its path."""

    def test_builds_as_often_as_one_likes(self, tmp_path: Path) -> None:
        source = create_model(NAME)
        torch.save(export_state_dict(source, "cvnets"), tmp_path / "w.pt")  # BGR: the stem is turned round each time
        opened = open_weights(tmp_path / "w.pt")
        (tmp_path / "w.pt").unlink()
        assert (opened.source, opened.variant, opened.task, opened.num_classes) == (
            "cvnets",
            NAME,
            "classification",
            1000,
        )
        assert open_weights(opened) is opened
        assert repr(opened) == f"Weights({str(tmp_path / 'w.pt')!r})"
        models = [create_model("auto", weights=opened), create_model(NAME, weights=opened)]
        backbones = [create_backbone("auto", weights=opened), create_model(NAME, weights_backbone=opened).backbone]
        for backbone in [*(model.backbone for model in models), *backbones]:
            assert torch.equal(backbone.stem.conv.weight, source.backbone.stem.conv.weight)
        with torch.no_grad():
            models[0].head.weight.zero_()
        assert torch.equal(create_model(NAME, weights=opened).head.weight, source.head.weight)

    def test_of_another_model(self, tmp_path: Path) -> None:
        torch.save(create_model(NAME).state_dict(), tmp_path / "w.pt")
        opened = open_weights(tmp_path / "w.pt")
        with pytest.raises(ValueError, match=r"w.pt: the weights are mobilevit_xxs's, the model is mobilevit_s"):
            create_model("mobilevit_s", weights=opened)
        with pytest.raises(ValueError, match=r"w.pt: opened with the key names of mvdet, not of timm"):
            read_weights(opened, to=create_backbone(NAME), source="timm")

    def test_names_without_a_model_are_full_ones(self, published: dict[str, Path]) -> None:
        assert open_weights(f"{NAME}.apple_in1k").path == published[f"{NAME}.apple_in1k"]
        with pytest.raises(ValueError, match="no published weights are named 'apple'; `python"):
            open_weights("apple")
