"""Reading weights files: what is good, and what somebody may have made to do harm."""

import codecs
import collections
import os
import pickle
import random
import resource
import struct
import subprocess
import time
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
from mvdet.checkpoints.reading import read_torch

NAME = "mobilevit_xxs"
GIGABYTE = 2**30


class Calls:
    """Is made by a call when it is unpickled."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable, tuple]:
        return self.call


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


def memory_limited(path: Path, room: int = 2 * GIGABYTE) -> str:
    """The refusal of `path` by a process that may not take more than `room` beyond what it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, hard))
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


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["whole", "inside"])
@pytest.mark.parametrize(
    ("function", "argument", "name"),
    [
        (os.system, "echo the code was run > {}", f"{os.name}.system"),
        (eval, "open({!r}, 'w')", "builtins.eval"),
        (subprocess.Popen, ["touch", "{}"], "subprocess.Popen"),
    ],
)
def test_a_pickle_that_runs_code_is_refused_and_not_run(
    tmp_path: Path, function: Callable, argument: str | list[str], name: str, place: str, zipped: bool, protocol: int
) -> None:
    path, proof = tmp_path / "w.pt", tmp_path / "proof"
    text = [part.format(str(proof)) for part in ([argument] if isinstance(argument, str) else argument)]
    code = Calls(function, text[0] if isinstance(argument, str) else text)
    content: Any = code if place == "whole" else weights() | {"x": code}
    torch.save(content, path, _use_new_zipfile_serialization=zipped, pickle_protocol=protocol)
    wanted = f"refused, it needs {name} and would run its code; a weights file holds tensors only"
    assert wanted in refusal(path)
    path.write_bytes(pickle.dumps(code, protocol=protocol))
    assert wanted in refusal(path)
    assert not proof.exists()
    made = pickle.loads(path.read_bytes())
    getattr(made, "wait", int)()
    assert proof.exists()  # it would have run


@pytest.mark.parametrize("zipped", [True, False])
def test_torchs_advice_to_switch_safety_off_is_never_given(tmp_path: Path, zipped: bool) -> None:
    torch.save(weights(), tmp_path / "w.pt", _use_new_zipfile_serialization=zipped, pickle_protocol=4)
    message = refusal(tmp_path / "w.pt")
    assert "refused, its pickle has the opcode FRAME, which torch.save does not write" in message
    assert "weights_only" not in message


@pytest.mark.parametrize("zipped", [True, False])
def test_training_checkpoints_can_be_read(tmp_path: Path, zipped: bool) -> None:
    """What optimisers, schedules and Lightning's loops keep."""
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5])
    model(torch.ones(2)).sum().backward()
    optimizer.step()
    content = {
        "state_dict": model.state_dict(),
        "parameters": list(model.parameters()),
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [schedule.state_dict()],
        "rng": torch.get_rng_state(),
        "hyper_parameters": {"size": torch.Size([3, 4]), "device": torch.device("cpu"), "dtype": torch.bfloat16},
        "loops": {"done": True, "loss": float("nan"), "name": None, "seed": 2**80, "nested": [(1, (2, [3]))]},
    }
    torch.save(content, tmp_path / "w.ckpt", _use_new_zipfile_serialization=zipped)
    read = read_torch(tmp_path / "w.ckpt")
    assert read.keys() == content.keys()
    assert read["lr_schedulers"][0]["milestones"] == {3: 1, 5: 1}
    assert read["hyper_parameters"] == content["hyper_parameters"]
    assert read["optimizer_states"][0]["state"].keys() == {0, 1}


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


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("version https://git-lfs.github.com/spec/v1\n", "a git-lfs pointer, `git lfs pull` fetches the file"),
        ("\n<html>", "a web page"),
    ],
)
def test_text_that_is_known(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "w.pth").write_text(text)
    assert refusal(tmp_path / "w.pth").endswith(f": {what}")


class TestBombs:
    """Small files that ask for much memory are refused before any of it is taken."""

    def test_compressed_archive(self, tmp_path: Path) -> None:
        plain, path = tmp_path / "plain.pt", tmp_path / "w.pt"
        torch.save({"stages.0.0.expand.conv.weight": torch.zeros(GIGABYTE // 40)}, plain)
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for entry in source.namelist():
                target.writestr(entry, source.read(entry))
        assert path.stat().st_size < 1_000_000
        assert "would unpack to" in memory_limited(path, GIGABYTE // 20)

    def test_two_directories(self, tmp_path: Path) -> None:
        """zipfile reads the one before the end, torch the one at the offset that the end names."""
        plain, path = tmp_path / "plain.pt", tmp_path / "w.pt"
        torch.save({"stages.0.0.expand.conv.weight": torch.zeros(GIGABYTE // 16)}, plain)
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
            for entry in source.namelist():
                target.writestr(entry, source.read(entry))
            start, entries = target.start_dir, target.filelist
        content = path.read_bytes()
        directory, end = bytearray(content[start:-22]), content[-22:]
        at = 0
        for entry in entries:  # of the same length, with other sizes
            struct.pack_into("<L", directory, at + 24, entry.compress_size)
            at += 46 + len(entry.filename)
        path.write_bytes(content[:-22] + directory + end)
        assert torch.load(path, weights_only=True)["stages.0.0.expand.conv.weight"].nbytes > path.stat().st_size * 100
        assert "the archive's directory is not where the archive says" in memory_limited(path, GIGABYTE // 20)

    @pytest.mark.parametrize("name", ["archive/data/A0", "archive/DATA.pkl"])
    def test_names_that_differ_in_case_only(self, tmp_path: Path, name: str) -> None:
        """torch finds one entry under each way of writing its name, and loads it as often."""
        path = tmp_path / "w.pt"
        torch.save(weights(), path)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(name, bytes(8))
        assert "refused, torch names no part of its archives" in refusal(path)

    @pytest.mark.parametrize("zipped", [True, False])
    @pytest.mark.parametrize(
        ("call", "name"),
        [
            (Calls(bytearray, 100 * GIGABYTE), "builtins.bytearray"),
            (Calls(torch.Tensor, 100 * GIGABYTE), "torch.Tensor"),
            (Calls(codecs.encode, "x", "hex"), "_codecs.encode"),
        ],
    )
    def test_calls_that_take_memory(self, tmp_path: Path, call: Calls, name: str, zipped: bool) -> None:
        torch.save({"a": call}, tmp_path / "w.pt", _use_new_zipfile_serialization=zipped)
        assert f"refused, it needs {name} and" in memory_limited(tmp_path / "w.pt", GIGABYTE // 20)

    @pytest.mark.parametrize("zipped", [True, False])
    def test_calls_of_what_is_allowed_with_other_arguments(self, tmp_path: Path, zipped: bool) -> None:
        path, storage = tmp_path / "w.pt", torch.zeros(8).storage()
        pairs: tuple = ()
        for _ in range(60):
            pairs = (pairs, pairs)  # takes 2**60 steps to hash
        for content in (
            Calls(collections.OrderedDict, [[pairs, 1]]),
            Calls(collections.Counter, [pairs]),
            {((1, 2), 3): 1},  # as a key, such a tuple is hashed
            Calls(torch._utils._rebuild_tensor_v2, storage, 0, (GIGABYTE,), (1,), False, None),
        ):
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
            assert ": refused, " in memory_limited(path, GIGABYTE // 20)

    @pytest.mark.parametrize("opcodes", [b"b", b")\x93", b")R", b"Q", b"h\x00R"])
    def test_tuples_that_take_years_to_print(self, tmp_path: Path, opcodes: bytes) -> None:
        """Whatever is refused, the message does not show it."""
        path = tmp_path / "w.pt"
        pairs = b")q\x00" + b"h\x00\x86q\x00" * 60  # each a pair of the last one twice
        path.write_bytes(b"\x80\x02" + pairs.replace(b"h\x00\x86", b"h\x00h\x00\x86") + b")" + opcodes + b".")
        start = time.monotonic()
        assert "refused" in refusal(path) or "damaged" in refusal(path)
        assert time.monotonic() - start < 2

    @pytest.mark.parametrize("zipped", [True, False])
    def test_storages_that_no_tensor_needs(self, tmp_path: Path, zipped: bool) -> None:
        """Deep inside lists, where nobody looks for weights."""
        path = tmp_path / "w.pt"
        torch.save([[[torch.arange(77.0)]]], path, _use_new_zipfile_serialization=zipped)
        content, longer = path.read_bytes(), struct.pack("<i", 2**30)
        if zipped:
            with zipfile.ZipFile(path) as source:
                entries = {name: source.read(name) for name in source.namelist()}
            with zipfile.ZipFile(path, "w") as target:
                for name, part in entries.items():
                    target.writestr(name, part.replace(b"K\x4d", b"J" + longer))
        else:
            path.write_bytes(content.replace(b"K\x4d", b"J" + longer))
        assert "claim to hold 4294967296 bytes of tensors" in memory_limited(path, GIGABYTE // 20)

    @pytest.mark.parametrize("zipped", [True, False])
    def test_what_is_there_many_times(self, tmp_path: Path, zipped: bool) -> None:
        """Each of these would take minutes to years, were all of it visited."""
        path, shared, large = tmp_path / "w.pt", {"a": torch.zeros(1)}, torch.zeros(1_000_000)
        for _ in range(4):
            shared = {f"{i}": shared for i in range(500)}
        for content, message in (
            (shared, "'0' is no tensor"),
            ({f"{i}": large for i in range(20_000)}, "its tensors claim 80000000000 bytes and share 4000000"),
            ({"layer_" + "1" * 200_000: large}, "a key has 200006 characters: layer_1111"),
        ):
            torch.save(content, path, _use_new_zipfile_serialization=zipped)
            start = time.monotonic()
            assert message in refusal(path)
            assert time.monotonic() - start < 10

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
        assert "refused, its" in memory_limited(path, GIGABYTE // 20)

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
        ({"a": torch.zeros(3).to(torch.float8_e4m3fn)}, "a is of torch.float8_e4m3fn, which weights are not"),
        ({"a": torch.zeros(3).to(torch.complex64)}, "a is of torch.complex64, which weights are not"),
        ({"a": torch.zeros(4, dtype=torch.uint8).view(torch.bits8)}, "a is of torch.bits8, which weights are not"),
        (
            {"a": torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.qint8)},
            "refused, it holds a quantised tensor (torch._utils._rebuild_qtensor)",
        ),
        (
            {"a": torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])},
            "refused, it holds a nested tensor (torch._utils._rebuild_nested_tensor)",
        ),
        ({"a\nb\x1b[31m": 3}, r"not a state dict, 'a\nb\x1b[31m' is no tensor"),
        ({"a\nb\x1b[31m": torch.tensor(torch.nan)}, r"'a\nb\x1b[31m' has 1 weights that are NaN"),
        ({"x" * 300: torch.tensor(torch.nan)}, f" {'x' * 100}... has 1 weights that are NaN"),
    ],
)
def test_files_without_a_state_dict(tmp_path: Path, content: object, what: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    assert what in refusal(tmp_path / "w.pt")


def test_safetensors_of_a_kind_that_weights_are_not(tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(4).to(torch.float8_e5m2)}, tmp_path / "w.safetensors")
    assert "a is of torch.float8_e5m2, which weights are not" in refusal(tmp_path / "w.safetensors")


@pytest.mark.parametrize("compressible", [True, False])
def test_torchscript_says_what_to_do(tmp_path: Path, compressible: bool) -> None:
    network = torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in range(200 if compressible else 1)))
    torch.jit.save(torch.jit.script(network), tmp_path / "w.pt")
    assert "a TorchScript archive; save the original module's state_dict() instead" in refusal(tmp_path / "w.pt")
