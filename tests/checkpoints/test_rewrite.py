from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
import torch

from mvdet import create_backbone, create_model
from mvdet.backbones import VARIANTS
from mvdet.checkpoints import export_state_dict, read_state_dict, weights
from mvdet.checkpoints.formats import FORMATS
from mvdet.checkpoints.rewrite import rewrite_weights


@pytest.mark.parametrize(
    ("name", "source", "target"),
    [
        (name, source, target)
        for name in ("mobilevit_xxs", "mobilevitv2_050")
        for source, target in product(FORMATS, repeat=2)
        if VARIANTS[name].version in FORMATS[source].versions & FORMATS[target].versions
    ],
)
def test_from_each_to_each(name: str, source: str, target: str, tmp_path: Path) -> None:
    model = create_model(name)
    torch.save(export_state_dict(model, source), tmp_path / "w.pt")
    rewrite_weights(tmp_path / "w.pt", tmp_path / "out.safetensors", to=target)
    written, wanted = read_state_dict(tmp_path / "out.safetensors"), export_state_dict(model, target)
    assert written.keys() == wanted.keys()
    assert all(torch.equal(written[key], value) for key, value in wanted.items())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.safetensors", "w.pt"]


def test_whole_detectors_keep_their_heads(reference: Callable, tmp_path: Path) -> None:
    case = reference("ssdlite_mobilevit_s")
    torch.save(case.state_dict, tmp_path / "w.pt")
    rewrite_weights(tmp_path / "w.pt", tmp_path / "ours.safetensors")
    rewrite_weights(tmp_path / "ours.safetensors", tmp_path / "back.safetensors", to="cvnets")
    back = read_state_dict(tmp_path / "back.safetensors")
    assert back.keys() == case.state_dict.keys()
    assert all(torch.equal(back[key], value) for key, value in case.state_dict.items())


def test_a_network_that_the_target_does_not_have(tmp_path: Path) -> None:
    torch.save(create_model("mobilevitv2_050").state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w.pt: mmpretrain has no MobileViT of version 2$"):
        rewrite_weights(tmp_path / "w.pt", tmp_path / "out.safetensors", to="mmpretrain")


@pytest.mark.parametrize(("bgr", "flipped"), [(None, True), (True, True), (False, False)])
def test_channel_order(bgr: bool | None, flipped: bool, tmp_path: Path) -> None:
    weights = export_state_dict(create_model("mobilevit_xxs"), "cvnets", bgr=False)
    torch.save(weights, tmp_path / "w.pt")
    rewrite_weights(tmp_path / "w.pt", tmp_path / "out.safetensors", bgr=bgr)
    stem = read_state_dict(tmp_path / "out.safetensors")["backbone.stem.conv.weight"]
    wanted = weights["conv_1.block.conv.weight"]
    assert torch.equal(stem, wanted.flip(1) if flipped else wanted)


def test_what_is_refused_leaves_no_file(tmp_path: Path) -> None:
    source, output = tmp_path / "w.pt", tmp_path / "out.safetensors"
    torch.save(create_backbone("mobilevit_xs", out_strides=(2,)).state_dict(), source)
    with pytest.raises(ValueError, match=r"w.pt: could be mobilevit_xs or mobilevit_s"):
        rewrite_weights(source, output)
    weights = dict(create_model("mobilevit_xs").state_dict())
    del weights["backbone.stem.norm.weight"]
    torch.save(weights, source)
    with pytest.raises(ValueError, match=r"1 keys of the model are not in the weights: stem.norm.weight"):
        rewrite_weights(source, output)
    with pytest.raises(ValueError, match=r"are written as .safetensors, got '.pt'"):
        rewrite_weights(source, tmp_path / "out.pt")
    with pytest.raises(FileNotFoundError, match="no folder"):
        rewrite_weights(source, tmp_path / "nowhere" / "out.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["w.pt"]


@pytest.mark.parametrize("target", list(FORMATS))
@pytest.mark.parametrize("options", [{"in_channels": 1}, {"out_strides": (8, 16)}], ids=str)
def test_unusual_backbones(options: dict, target: str, tmp_path: Path) -> None:
    backbone = create_backbone("mobilevit_xxs", **options)
    torch.save(export_state_dict(backbone, "cvnets"), tmp_path / "w.pt")
    rewrite_weights(tmp_path / "w.pt", tmp_path / "out.safetensors", to=target)
    again = create_backbone("mobilevit_xxs", **options, weights=tmp_path / "out.safetensors")
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in backbone.state_dict().items())


def test_an_order_of_channels_that_are_not_three(tmp_path: Path) -> None:
    torch.save(create_backbone("mobilevit_xxs", in_channels=1).state_dict(), tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w.pt: bgr=True is for networks of three input channels"):
        rewrite_weights(tmp_path / "w.pt", tmp_path / "out.safetensors", bgr=True)


def test_the_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(create_backbone("mobilevit_xxs").state_dict(), tmp_path / "w.pt")
    read: list[Path] = []
    monkeypatch.setattr(weights, "read_state_dict", lambda path: read.append(path) or read_state_dict(path))
    rewrite_weights(tmp_path / "w.pt", tmp_path / "out.safetensors")
    assert read == [tmp_path / "w.pt"]
