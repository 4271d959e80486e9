"""Folders as transformers and timm save them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from mvdet import create_backbone, create_model, list_backbones
from mvdet.benchmarks.rivals import transformers_config
from mvdet.checkpoints import describe_weights, load_weights
from mvdet.checkpoints.folder import DEFAULTS, read_folder


def write_config(folder: Path, **config: object) -> None:
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("name", list_backbones())
def test_the_configurations_of_both_libraries_name_the_variant(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").touch()
    pytest.importorskip("transformers")
    transformers_config(name).save_pretrained(tmp_path)
    assert read_folder(tmp_path).variant == name
    write_config(tmp_path, architecture=name, num_classes=1000)
    assert read_folder(tmp_path).variant == name


@pytest.mark.parametrize("safe", [True, False])
def test_a_saved_transformers_model_loads(tmp_path: Path, safe: bool, spread: Callable[[nn.Module], nn.Module]) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers_config("mobilevit_xs", num_labels=7)
    theirs = spread(transformers.MobileViTForImageClassification(config))
    theirs.save_pretrained(tmp_path)
    if not safe:
        (tmp_path / "model.safetensors").unlink()
        torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    model = create_model("auto", num_classes=7, weights=tmp_path).eval()
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(model(images), theirs(images.flip(1)).logits, rtol=1e-4, atol=1e-5)
    assert create_backbone("auto", weights=str(tmp_path)).spec is model.backbone.spec
    with pytest.raises(ValueError, match=r"the weights are mobilevit_xs's, the model is mobilevit_s"):
        load_weights(create_model("mobilevit_s"), tmp_path)


@pytest.mark.parametrize(("flips", "flipped"), [(None, True), (True, True), (False, False)])
def test_a_v1_network_that_was_fed_rgb_says_so(
    tmp_path: Path, flips: bool | None, flipped: bool, spread: Callable[[nn.Module], nn.Module]
) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = spread(transformers.MobileViTModel(transformers_config("mobilevit_xxs")))
    theirs.save_pretrained(tmp_path)
    if flips is not None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_flip_channel_order": flips}))
    stem = create_backbone("mobilevit_xxs", weights=tmp_path).stem.conv.weight
    wanted = theirs.conv_stem.convolution.weight
    assert torch.equal(stem, wanted.flip(1) if flipped else wanted)
    assert describe_weights(tmp_path).bgr is flipped


def test_a_configuration_that_contradicts_the_weights(tmp_path: Path) -> None:
    torch.save(create_model("mobilevit_xs").state_dict(), tmp_path / "pytorch_model.bin")
    write_config(tmp_path, architecture="mobilevit_s")
    with pytest.raises(ValueError, match=r"config.json says mobilevit_s, the weights are mobilevit_xs's"):
        describe_weights(tmp_path)
    with pytest.raises(
        ValueError, match=r"pytorch_model.bin: the weights are mobilevit_xs's, the model is mobilevit_s"
    ):
        create_model("mobilevit_s", weights=tmp_path)


def test_what_a_folder_must_have(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a folder of weights has a config.json, this one has not"):
        read_folder(tmp_path)
    write_config(tmp_path, architecture="mobilevit_s")
    with pytest.raises(FileNotFoundError, match=r"no weights file, looked for model.safetensors and pytorch_mo"):
        read_folder(tmp_path)


def test_a_folder_of_a_training_run_names_its_files(tmp_path: Path) -> None:
    for name in ("last.pth.tar", "model_best.pth.tar", "args.yaml", "summary.csv"):
        (tmp_path / name).touch()
    named = r"name the file that is meant: last.pth.tar, model_best.pth.tar$"
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}: a folder of weights has a config.json, .*; {named}"):
        read_folder(tmp_path)
    write_config(tmp_path, architecture="mobilevit_s")
    with pytest.raises(FileNotFoundError, match=rf"looked for model.safetensors and pytorch_model.bin; {named}"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("config", "what"),
    [
        ("{", "config.json: not JSON"),
        ("[" * 200_000, "config.json: not JSON (maximum recursion depth exceeded"),
        ("[]", "config.json: holds no JSON object but list"),
        ('{"architecture": "resnet18"}', "not a MobileViT of a known variant: {'architecture': 'resnet18'}"),
        ('{"model_type": "bert"}', "not a MobileViT of a known variant: {'model_type': 'bert'}"),
        ('{"model_type": "mobilevitv2", "width_multiplier": 3}', "not a MobileViT of a known variant"),
        ('{"model_type": "mobilevitv2", "width_multiplier": "wide"}', "not a MobileViT of a known variant"),
        ('{"model_type": "mobilevit", "neck_hidden_sizes": [1]}', "not a MobileViT of a known variant"),
    ],
)
def test_configurations_that_do_not_help(tmp_path: Path, config: str, what: str) -> None:
    (tmp_path / "model.safetensors").touch()
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ValueError, match=re.escape(what)):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        *(("mobilevit_xxs", *pair) for pair in (("num_attention_heads", 2), ("patch_size", 4), ("hidden_act", "relu"))),
        *(("mobilevit_xxs", *pair) for pair in (("mlp_ratio", 4.0), ("expand_ratio", 4.0), ("conv_kernel_size", 5))),
        *(("mobilevit_xxs", *pair) for pair in (("qkv_bias", False), ("layer_norm_eps", 1e-6))),
        ("mobilevit_xxs", "hidden_sizes", [64, 80, 100]),
        *(("mobilevitv2_050", *pair) for pair in (("n_attn_blocks", [2, 4, 4]), ("base_attn_unit_dims", [1, 2, 3]))),
        *(("mobilevitv2_050", *pair) for pair in (("ffn_multiplier", 4), ("expand_ratio", 4.0), ("patch_size", 4))),
        *(("mobilevitv2_050", *pair) for pair in (("hidden_act", "gelu"), ("layer_norm_eps", 0.1))),
        ("mobilevitv2_050", "conv_kernel_size", 7),
    ],
)
def test_a_network_that_differs_from_ours_in_one_field(name: str, field: str, value: object, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    config = transformers_config(name)
    config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()
    changed = json.loads((tmp_path / "config.json").read_text()) | {field: value}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=re.escape(f"config.json: {field} is {value!r}, {name} here has ")):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", ["mobilevit_s", "mobilevitv2_100"])
def test_what_may_differ_from_ours_and_what_files_leave_out(name: str, tmp_path: Path) -> None:
    kind = name.partition("_")[0]
    (tmp_path / "model.safetensors").touch()
    write_config(tmp_path, model_type=kind, num_channels=1, output_stride=16, patch_size=[2, 2], hidden_act="swish")
    assert read_folder(tmp_path).variant == name


@pytest.mark.parametrize("kind", list(DEFAULTS))
def test_the_defaults_are_transformers(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.AutoConfig.for_model(kind).to_dict()
    assert {field: _listed(config[field]) for field in DEFAULTS[kind]} == DEFAULTS[kind]


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
