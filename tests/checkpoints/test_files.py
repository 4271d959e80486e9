"""Reading weights files: what is good, and what somebody may have made to do harm."""

import pickle
import random
import resource
import struct
import traceback
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from mvdet import create_backbone
from mvdet.checkpoints import read_state_dict

NAME = "mobilevit_xxs"
GIGABYTE = 2**30


class RunsCode:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple]:
        return Path.write_text, (self.path, "the code was run")


def weights() -> dict[str, torch.Tensor]:
    return {key: value.contiguous() for key, value in create_backbone(NAME).state_dict().items()}


def refusal(path: Path) -> str:
    """The message that `path` is refused with; nothing of torch is in the traceback that a user sees."""
    with pytest.raises(ValueError, match=f"^{path}: ") as caught:
        read_state_dict(path)
    shown = "".join(traceback.format_exception(caught.value))
    assert "site-packages/torch" not in shown
    assert "During handling" not in shown
    assert "direct cause" not in shown
    message = str(caught.value)
    assert "\n" not in message
    return message


def memory_limited(path: Path) -> str:
    """The refusal of `path` by a process that may not take more than two gigabytes beyond what it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2 * GIGABYTE, hard))
    try:
        return refusal(path)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin"])
def test_torch_files(tmp_path: Path, suffix: str, wrapper: str | None, zipped: bool) -> None:
    source = weights()
    content = {wrapper: source, "epoch": 3} if wrapper else source
    torch.save(content, tmp_path / f"w{suffix}", _use_new_zipfile_serialization=zipped)
    read = read_state_dict(tmp_path / f"w{suffix}")
    assert read.keys() == source.keys()
    assert all(torch.equal(value, read[key]) for key, value in source.items())


def test_averaged_weights_come_first(tmp_path: Path) -> None:
    averaged, last = weights(), weights()
    torch.save({"state_dict": last, "state_dict_ema": averaged}, tmp_path / "w.pt")
    read = read_state_dict(tmp_path / "w.pt")
    assert torch.equal(read["stem.conv.weight"], averaged["stem.conv.weight"])


def test_safetensors(tmp_path: Path) -> None:
    source = weights()
    safetensors.torch.save_file(source, tmp_path / "w.safetensors")
    read = read_state_dict(tmp_path / "w.safetensors")
    assert all(torch.equal(value, read[key]) for key, value in source.items())


def test_missing_file() -> None:
    with pytest.raises(FileNotFoundError, match=r"weights file not found: nowhere/w\.pt"):
        read_state_dict("nowhere/w.pt")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["whole", "inside"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path: Path, place: str, zipped: bool) -> None:
    path, proof = tmp_path / "w.pt", tmp_path / "proof"
    content: Any = RunsCode(proof)
    torch.save(content if place == "whole" else weights() | {"x": content}, path, _use_new_zipfile_serialization=zipped)
    assert "refused, it needs the class" in refusal(path)
    path.write_bytes(pickle.dumps(content, protocol=2))
    refusal(path)
    assert not proof.exists()
    pickle.loads(path.read_bytes())
    assert proof.exists()  # it would have run


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("part", range(10))
def test_truncated_at_ten_places(tmp_path: Path, suffix: str, part: int) -> None:
    path = tmp_path / f"w{suffix}"
    if suffix == ".pt":
        torch.save(weights(), path)
    else:
        safetensors.torch.save_file(weights(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * part // 10 + (part > 0)])
    assert "not a readable" in refusal(path) or part == 0


@pytest.mark.parametrize("part", range(1, 10))
def test_truncated_old_format(tmp_path: Path, part: int) -> None:
    path = tmp_path / "w.pt"
    torch.save(weights(), path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * part // 10])
    refusal(path)


@pytest.mark.parametrize("suffix", [".pt", ".bin", ".safetensors"])
@pytest.mark.parametrize("seed", range(8))
def test_random_bytes(tmp_path: Path, suffix: str, seed: int) -> None:
    """Half of them begin as a torch file would, so that torch's own readers see the rest."""
    path = tmp_path / f"w{suffix}"
    beginning = [b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."][seed % 4]
    path.write_bytes(beginning + random.Random(seed).randbytes(10_000))
    refusal(path)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    "text", ["", "not a checkpoint", "<!DOCTYPE html>", "version https://git-lfs.github.com/spec/v1"]
)
def test_text_in_place_of_weights_is_shown(tmp_path: Path, suffix: str, text: str) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_text(text)
    assert (f"it begins with b'{text[:40]}'" if text else "it is empty") in refusal(path)


class TestBombs:
    """Small files that ask for much memory are refused before any of it is taken."""

    def test_compressed_archive(self, tmp_path: Path) -> None:
        plain, path = tmp_path / "plain.pt", tmp_path / "w.pt"
        torch.save({"stages.0.0.expand.conv.weight": torch.zeros(GIGABYTE // 40)}, plain)
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for entry in source.namelist():
                target.writestr(entry, source.read(entry))
        assert path.stat().st_size < 1_000_000
        assert "would unpack to" in refusal(path)

    def test_overlapping_entries(self, tmp_path: Path) -> None:
        """Every entry of the archive is the same megabyte."""
        path = tmp_path / "w.pt"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("w/data/0", bytes(1_000_000))
            first = archive.filelist[0]
            archive.filelist += [first] * 5_000
        assert "would unpack to 5001000000" in refusal(path)

    @pytest.mark.parametrize("zipped", [True, False])
    def test_a_tensor_larger_than_its_file(self, tmp_path: Path, zipped: bool) -> None:
        path = tmp_path / "w.pt"
        torch.save({"a": torch.arange(77.0)}, path, _use_new_zipfile_serialization=zipped)
        long_count = b"\x8a\x08" + struct.pack("<q", 100 * GIGABYTE)  # LONG1 in place of BININT1
        if zipped:
            with zipfile.ZipFile(path) as source:
                entries = {name: source.read(name) for name in source.namelist()}
            with zipfile.ZipFile(path, "w") as target:
                for name, content in entries.items():
                    target.writestr(name, content.replace(b"K\x4d", long_count))
        else:
            path.write_bytes(path.read_bytes().replace(b"K\x4d", long_count))
        assert "refused" in memory_limited(path) or "does not match expected size" in memory_limited(path)

    def test_a_tensor_that_repeats_one_value(self, tmp_path: Path) -> None:
        path = tmp_path / "w.pt"
        torch.save({"a": torch.zeros(1).expand(100 * GIGABYTE)}, path)
        assert "refused, a claims 429496729600 bytes and has 4" in memory_limited(path)

    def test_a_safetensors_header_that_lies(self, tmp_path: Path) -> None:
        path = tmp_path / "w.safetensors"
        header = f'{{"a":{{"dtype":"F32","shape":[{25 * GIGABYTE}],"data_offsets":[0,{100 * GIGABYTE}]}}}}'.encode()
        path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
        memory_limited(path)

    def test_wrappers_without_end(self, tmp_path: Path) -> None:
        path, content = tmp_path / "w.pt", {}
        content["model"] = content
        torch.save(content, path)
        assert "'model' is no tensor" in refusal(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_that_are_no_numbers(tmp_path: Path, suffix: str, value: float) -> None:
    content, path = weights(), tmp_path / f"w{suffix}"
    content["stem.conv.weight"][0, 0, 0] = value
    (torch.save if suffix == ".pt" else safetensors.torch.save_file)(content, path)
    assert "stem.conv.weight has 3 weights that are NaN or infinite" in refusal(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (torch.zeros(3), "holds no state dict but Tensor"),
        ({}, "holds no state dict but dict"),
        ([1, 2], "holds no state dict but list"),
        ({"epoch": 3}, "not a state dict, 'epoch' is no tensor"),
        ({"state_dict": {"a": None}}, "not a state dict, 'a' is no tensor"),
        ({3: torch.zeros(1)}, "not a state dict, 3 is no tensor"),
        ({"a": torch.zeros(3, 3).to_sparse()}, "a is not a plain tensor"),
        ({"a": torch.zeros(3, device="meta")}, "a is not a plain tensor"),
    ],
)
def test_files_without_a_state_dict(tmp_path: Path, content: object, what: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    assert what in refusal(tmp_path / "w.pt")


def test_torchscript_says_what_to_do(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), tmp_path / "w.pt")
    assert "a TorchScript archive; save the original module's state_dict() instead" in refusal(tmp_path / "w.pt")
