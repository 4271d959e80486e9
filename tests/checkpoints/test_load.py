from pathlib import Path

import pytest
import safetensors.torch
import torch

from mvdet import create_backbone
from mvdet.checkpoints import load_weights, read_state_dict

NAME = "mobilevit_xxs"


class Surprise:
    """Anything that is no tensor."""


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_torch_files(tmp_path: Path, suffix: str, wrapper: str | None) -> None:
    source = create_backbone(NAME).state_dict()
    torch.save({wrapper: source} if wrapper else source, tmp_path / f"w{suffix}")
    model = create_backbone(NAME)
    load_weights(model, tmp_path / f"w{suffix}")
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in source.items())


def test_safetensors(tmp_path: Path) -> None:
    source = {k: v.contiguous() for k, v in create_backbone(NAME).state_dict().items()}
    safetensors.torch.save_file(source, tmp_path / "w.safetensors")
    read = read_state_dict(tmp_path / "w.safetensors")
    assert all(torch.equal(v, read[k]) for k, v in source.items())


def test_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match=r"weights file not found: nowhere/w\.pt"):
        read_state_dict("nowhere/w.pt")


def test_arbitrary_pickle_is_refused(tmp_path: Path) -> None:
    torch.save({"model": Surprise()}, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w.pt: refused, it needs the class \S+Surprise and would run its code"):
        read_state_dict(tmp_path / "w.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_unreadable_files(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"w{suffix}: not a (readable weights|torch) file"):
        read_state_dict(path)


def test_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    torch.save(create_backbone(NAME).state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"w.pt: not a readable weights file"):
        read_state_dict(path)


@pytest.mark.parametrize("content", [torch.zeros(3), {}, {"epoch": 3}])
def test_files_without_a_state_dict(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ValueError, match=r"w.pt: (holds no state dict|not a state dict)"):
        read_state_dict(tmp_path / "w.pt")


def test_another_variants_file_is_named_and_changes_nothing(tmp_path: Path) -> None:
    torch.save(create_backbone("mobilevit_xs").state_dict(), tmp_path / "xs.pt")
    model = create_backbone(NAME)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"xs.pt: the weights are not of this model"):
        load_weights(model, tmp_path / "xs.pt")
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
