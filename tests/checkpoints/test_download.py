"""Downloads from a server on loopback: as they should be, broken off, tampered with, and out of reach."""

import hashlib
import io
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
from safetensors.torch import save_file

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


def gets(server: FileServer) -> list[str | None]:
    """The Range headers of the GET requests."""
    return [wanted for method, _, wanted in server.requests if method == "GET"]


def test_download_then_cache_hit(server: FileServer, entry: PublishedWeights) -> None:
    path = fetch(entry)
    assert path == cache_dir() / "mobilevit_xxs.apple_in1k.pt"
    assert path.read_bytes() == served(server)
    assert path.with_suffix(".pt.sha256").read_text().strip() == hashlib.sha256(served(server)).hexdigest()
    assert gets(server) == [None]
    asked = len(server.requests)
    assert fetch(entry) == path
    assert len(server.requests) == asked
    assert {p.name for p in path.parent.iterdir()} - {path.name + ".lock"} == {path.name, path.name + ".sha256"}


def test_by_name_into_a_model(server: FileServer, entry: PublishedWeights) -> None:
    wanted = torch.load(server.folder / "mobilevit_xxs.pt", weights_only=True)["conv_1.block.conv.weight"].flip(1)
    for weights in ("DEFAULT", "apple", "apple_in1k", NAME):
        assert torch.equal(create_backbone("mobilevit_xxs", weights=weights).stem.conv.weight, wanted)
    model = create_model("mobilevit_xxs", num_classes=5, weights="apple", head="skip")
    assert torch.equal(model.backbone.stem.conv.weight, wanted)
    assert gets(server) == [None]


def test_a_broken_connection_goes_on_where_it_broke(
    server: FileServer, entry: PublishedWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 100_000)  # 10 MB, more than this file has
    server.break_off = 1
    assert fetch(entry).read_bytes() == served(server)
    first, second = gets(server)
    assert first is None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= len(served(server)) // 2


def left_behind(content: bytes, etag_of: bytes | None) -> Path:
    """What a download leaves that ended early, of a file that is `etag_of` as a whole."""
    partial = cache_dir() / "mobilevit_xxs.apple_in1k.pt.incomplete"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(content)
    if etag_of is not None:
        partial.with_suffix(".validator").write_text(f'"{hashlib.sha256(etag_of).hexdigest()}"')
    return partial


def test_a_broken_download_goes_on_in_another_process(server: FileServer, entry: PublishedWeights) -> None:
    partial = left_behind(served(server)[:1_000_000], served(server))
    path = fetch(entry)
    assert path.read_bytes() == served(server)
    assert gets(server) == ["bytes=1000000-"]
    assert {p.name for p in partial.parent.iterdir()} - {path.name + ".lock"} == {path.name, path.name + ".sha256"}


@pytest.mark.parametrize("etag_of", [None, b"an older upload"])
def test_what_is_left_of_another_file_is_not_gone_on_with(
    etag_of: bytes | None, server: FileServer, entry: PublishedWeights
) -> None:
    left_behind(bytes(1_000_000), etag_of)
    assert fetch(entry).read_bytes() == served(server)
    assert gets(server) == [None]


def test_a_file_that_changes_while_it_is_fetched(
    server: FileServer, entry: PublishedWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 100_000)
    other = io.BytesIO()
    torch.save(export_state_dict(create_model("mobilevit_xxs", num_classes=9), "cvnets"), other)
    server.break_off = 1
    server.after_break = lambda: (server.folder / "mobilevit_xxs.pt").write_bytes(other.getvalue())
    with pytest.raises(ConnectionError, match="Consistency check failed"):  # never half of each
        fetch(entry)
    assert fetch(entry).read_bytes() == other.getvalue()


def test_a_server_that_ignores_ranges(server: FileServer, entry: PublishedWeights) -> None:
    left_behind(served(server)[:1_000_000], served(server))
    server.ignore_ranges = True
    assert fetch(entry).read_bytes() == served(server)
    assert gets(server) == ["bytes=1000000-"]


def test_a_download_that_was_never_renamed_starts_again(server: FileServer, entry: PublishedWeights) -> None:
    left_behind(bytes(len(served(server))), served(server))
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


def test_force_downloads_anew_and_forgets_the_hash(server: FileServer, entry: PublishedWeights) -> None:
    path = fetch(entry)
    torch.save(export_state_dict(create_model("mobilevit_xxs"), "cvnets"), server.folder / "mobilevit_xxs.pt")
    path.unlink()  # the record alone stays
    with pytest.raises(ValueError, match=r"Delete it and .*pt.sha256 \(`python scripts/weights.py get .* --force`\)"):
        fetch(entry)
    assert fetch(entry, force=True).read_bytes() == served(server)
    assert fetch(entry) == path


def test_a_page_in_place_of_the_file_is_not_kept(server: FileServer, entry: PublishedWeights) -> None:
    good = served(server)
    (server.folder / "mobilevit_xxs.pt").write_text("<!DOCTYPE html> Please log in")
    with pytest.raises(ValueError, match=r"mobilevit_xxs.pt gave no weights, nothing was kept: .*begins with b'<!DOC"):
        fetch(entry)
    assert [path.suffix for path in cache_dir().iterdir()] in ([], [".lock"])
    (server.folder / "mobilevit_xxs.pt").write_bytes(good)
    assert fetch(entry).read_bytes() == good


def test_an_empty_record_is_none(server: FileServer, entry: PublishedWeights) -> None:
    record = fetch(entry).with_suffix(".pt.sha256")
    record.write_text("")
    fetch(entry)
    assert record.read_text().strip() == hashlib.sha256(served(server)).hexdigest()


def test_a_cache_that_cannot_be_written(
    server: FileServer, entry: PublishedWeights, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = cache_dir() / "mobilevit_xxs.apple_in1k.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(served(server))

    def refuse(self: Path, *arguments: object, **options: object) -> int:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "write_text", refuse)  # root may write anywhere: a folder's mode would prove nothing
    assert fetch(entry) == path
    assert "is not recorded: [Errno 13] Permission denied" in caplog.text


def test_two_processes_at_once(server: FileServer, entry: PublishedWeights, tmp_path: Path) -> None:
    code = (
        "from dataclasses import replace; from mvdet.checkpoints.download import fetch; "
        "from mvdet.checkpoints.manifest import get_published; "
        f"print(fetch(replace(get_published({NAME!r}), url={entry.url!r})))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=120) for process in running]
    assert [out.strip() for out, _ in printed] == [str(cache_dir() / "mobilevit_xxs.apple_in1k.pt")] * 2, printed
    assert gets(server) == [None]


def test_every_candidate_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    entry = replace(get_published("mobilevit_xxs.transformers_in1k"), hub_id="apple/of-no-such-name")
    with pytest.raises(ConnectionError) as caught:
        fetch(entry)
    (first, place), (second, other) = places(entry)
    assert first.endswith("/pytorch_model.bin")  # what the main branch has
    assert f"Fetch {first} by hand and save it as {place}, or {second} as {other}, or give" in str(caught.value)


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

    def get(
        self, environment: dict[str, str], name: str = "mobilevit_xxs.timm_in1k", *options: str
    ) -> subprocess.CompletedProcess:
        command = [sys.executable, str(SCRIPT), "get", name, *options]
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

    def test_force(self, environment: dict[str, str], repository: Path, server: FileServer) -> None:
        model = repository / "model.safetensors"
        save_file({"stem.conv.weight": torch.zeros(3)}, model)
        path = Path(self.get(environment).stdout.strip())
        blob = path.resolve()
        blob.write_bytes(bytes(10))
        assert "SHA-256 is" in self.get(environment).stderr
        again = self.get(environment, "mobilevit_xxs.timm_in1k", "--force")
        assert Path(again.stdout.strip()).read_bytes() == model.read_bytes(), again.stderr

    def test_unknown_name(self, environment: dict[str, str]) -> None:
        result = self.get(environment, "mobilevit_xxs.tim")
        assert result.stderr.startswith("error: no published weights are named 'mobilevit_xxs.tim'; did you mean")
