"""Downloads from a server on loopback: as they should be, broken off, tampered with, and out of reach."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from file_server import FileServer, serve

from mvdet import create_backbone, create_model
from mvdet.checkpoints import export_state_dict, load_weights, manifest
from mvdet.checkpoints.download import cache_dir, fetch, places
from mvdet.checkpoints.manifest import PublishedWeights, get_published

NAME = "mobilevit_xxs.apple_in1k"
SCRIPT = Path(__file__).parents[2] / "scripts" / "weights.py"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """Serves `tmp_path/server`, where Apple's file for mobilevit_xxs lies; caches are empty."""
    folder = tmp_path / "server"
    folder.mkdir()
    torch.save(export_state_dict(create_model("mobilevit_xxs"), "cvnets"), folder / "mobilevit_xxs.pt")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with serve(folder) as running:
        yield running


@pytest.fixture
def entry(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> PublishedWeights:
    """The manifest's entry of that file, its address the server's."""
    local = replace(get_published(NAME), url=f"{server.url}/mobilevit_xxs.pt")
    monkeypatch.setitem(manifest.manifest(), NAME, local)
    return local


def served(server: FileServer) -> bytes:
    return (server.folder / "mobilevit_xxs.pt").read_bytes()


def test_download_then_cache_hit(server: FileServer, entry: PublishedWeights) -> None:
    path = fetch(entry)
    assert path == cache_dir() / "mobilevit_xxs.apple_in1k.pt"
    assert path.read_bytes() == served(server)
    assert path.with_suffix(".pt.sha256").read_text().strip() == hashlib.sha256(served(server)).hexdigest()
    assert [method for method, *_ in server.requests] == ["GET"]
    assert fetch(entry) == path
    assert len(server.requests) == 1
    assert {p.name for p in path.parent.iterdir()} - {path.name + ".lock"} == {path.name, path.name + ".sha256"}


def test_by_name_into_a_model(server: FileServer, entry: PublishedWeights) -> None:
    wanted = torch.load(server.folder / "mobilevit_xxs.pt", weights_only=True)["conv_1.block.conv.weight"].flip(1)
    for weights in ("DEFAULT", "apple", "apple_in1k", NAME):
        assert torch.equal(create_backbone("mobilevit_xxs", weights=weights).stem.conv.weight, wanted)
    model = create_model("mobilevit_xxs", num_classes=5, weights="apple", head="skip")
    assert torch.equal(model.backbone.stem.conv.weight, wanted)
    assert len(server.requests) == 1


def test_a_broken_connection_goes_on_where_it_broke(
    server: FileServer, entry: PublishedWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 100_000)  # 10 MB, more than this file has
    server.break_off = 1
    assert fetch(entry).read_bytes() == served(server)
    (_, _, first), (_, _, second) = server.requests
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= len(served(server)) // 2


def test_a_broken_download_goes_on_in_another_process(server: FileServer, entry: PublishedWeights) -> None:
    partial = cache_dir() / "mobilevit_xxs.apple_in1k.pt.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(served(server)[:1_000_000])
    assert fetch(entry).read_bytes() == served(server)
    assert server.requests == [("GET", "/mobilevit_xxs.pt", "bytes=1000000-")]
    assert not partial.exists()


def test_a_download_that_was_never_renamed_starts_again(server: FileServer, entry: PublishedWeights) -> None:
    partial = cache_dir() / "mobilevit_xxs.apple_in1k.pt.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(bytes(len(served(server))))
    assert fetch(entry).read_bytes() == served(server)


def test_hash_mismatch(server: FileServer, entry: PublishedWeights) -> None:
    listed = replace(entry, sha256="0" * 64)
    with pytest.raises(ValueError, match=r"SHA-256 is [0-9a-f]{64}, the manifest says 0{64}: not the published file"):
        fetch(listed)
    good = replace(entry, sha256=hashlib.sha256(served(server)).hexdigest())
    assert fetch(good).read_bytes() == served(server)


def test_a_file_that_changed_since_the_first_download(server: FileServer, entry: PublishedWeights) -> None:
    path = fetch(entry)
    path.write_bytes(served(server)[:-1] + b"x")
    with pytest.raises(ValueError, match=r"mobilevit_xxs.apple_in1k.pt: SHA-256 is .*pt.sha256 says .* Delete it"):
        load_weights(create_backbone("mobilevit_xxs"), "apple")


def test_out_of_reach(server: FileServer, entry: PublishedWeights) -> None:
    missing = replace(entry, url=f"{server.url}/nothing.pt")
    ((source, place),) = places(missing)
    with pytest.raises(ConnectionError) as caught:
        fetch(missing)
    assert f"Fetch {source} by hand and save it as {place}, or give the path" in str(caught.value)
    place.write_bytes(served(server))
    assert fetch(missing) == place


class TestHub:
    """The hub's protocol, through the command line, in processes that know no other hub."""

    @pytest.fixture
    def environment(self, server: FileServer, tmp_path: Path) -> dict[str, str]:
        return os.environ | {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}

    @pytest.fixture
    def repository(self, server: FileServer) -> Path:
        folder = server.folder / "timm" / "mobilevit_xxs.cvnets_in1k" / "resolve" / "main"
        folder.mkdir(parents=True)
        return folder

    def get(self, environment: dict[str, str], name: str = "mobilevit_xxs.timm_in1k") -> subprocess.CompletedProcess:
        command = [sys.executable, str(SCRIPT), "get", name]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def test_download_then_cache_hit_offline(
        self, environment: dict[str, str], repository: Path, server: FileServer
    ) -> None:
        torch.save({}, repository / "pytorch_model.bin")  # model.safetensors is tried first, and is not there
        first = self.get(environment)
        path = Path(first.stdout.strip())
        assert path.name == "pytorch_model.bin", first.stderr
        assert path.read_bytes() == (repository / "pytorch_model.bin").read_bytes()
        asked = len(server.requests)
        again = self.get(environment | {"HF_HUB_OFFLINE": "1"})
        assert again.stdout == first.stdout, again.stderr
        assert len(server.requests) == asked

    def test_offline(self, environment: dict[str, str], tmp_path: Path) -> None:
        result = self.get(environment | {"HF_HUB_OFFLINE": "1"})
        assert result.returncode == 1
        assert result.stderr.startswith("error: cannot download mobilevit_xxs.timm_in1k (")
        place = tmp_path / "torch" / "hub" / "checkpoints" / "mobilevit_xxs.timm_in1k.safetensors"
        assert f"cvnets_in1k/resolve/main/model.safetensors by hand and save it as {place}," in result.stderr
        place.parent.mkdir(parents=True)
        place.touch()
        by_hand = self.get(environment | {"HF_HUB_OFFLINE": "1"})
        assert by_hand.stdout.strip() == str(place)

    def test_unknown_name(self, environment: dict[str, str]) -> None:
        result = self.get(environment, "mobilevit_xxs.tim")
        assert result.stderr.startswith("error: no published weights are named 'mobilevit_xxs.tim'; did you mean")
