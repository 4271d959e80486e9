"""Published weights, fetched once: the hub's into its own cache, other files into torch.hub's.

`torch.hub.download_url_to_file` neither resumes nor notices that a connection ended early, so the file is fetched with
huggingface_hub's downloader, which does both, and torch.hub says where to.
"""

import hashlib
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import torch

from mvdet.checkpoints.manifest import PublishedWeights

HUB_URL = "https://huggingface.co/{hub_id}/resolve/main/{file}"


def cache_dir() -> Path:
    """Where torch.hub keeps checkpoints (`$TORCH_HOME/hub/checkpoints`), and where a file fetched by hand is put."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def fetch(entry: PublishedWeights) -> Path:
    """The local path of a published file, downloaded with a progress bar where it is not there yet.

    Its SHA-256 must be the manifest's, or where that knows none, the one seen on the first download.

    Raises:
        ConnectionError: if it cannot be downloaded; says which file to fetch by hand, and where to put it.
        ValueError: if its hash is not the expected one; names the file.
    """
    path = _cached(entry) or _download(entry)
    _verify(entry, path)
    return path


def places(entry: PublishedWeights) -> list[tuple[str, Path]]:
    """Where a published file can be downloaded from and where it is looked for, best choice first."""
    if entry.url is not None:
        sources = [entry.url]
    else:
        sources = [HUB_URL.format(hub_id=entry.hub_id, file=file) for file in entry.hub_files or ()]
    return [(source, cache_dir() / f"{entry.name}{Path(urlsplit(source).path).suffix}") for source in sources]


def _cached(entry: PublishedWeights) -> Path | None:
    for _, path in places(entry):
        if path.is_file():
            return path
    if entry.hub_id is not None:
        from huggingface_hub import try_to_load_from_cache

        for file in entry.hub_files or ():
            if isinstance(found := try_to_load_from_cache(entry.hub_id, file), str):
                return Path(found)
    return None


def _download(entry: PublishedWeights) -> Path:
    from huggingface_hub.errors import HfHubHTTPError

    # The library that huggingface_hub speaks HTTP with changes between releases; its errors are this one's bases.
    http_errors: tuple[type[Exception], ...] = HfHubHTTPError.__bases__
    try:
        return _download_url(entry) if entry.url is not None else _download_from_hub(entry)
    except (OSError, *http_errors) as error:  # type: ignore[misc]
        source, path = places(entry)[0]
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ConnectionError(
            f"cannot download {entry.name} ({reason}). Fetch {source} by hand and save it as {path}, "
            "or give the path of your copy as weights"
        ) from None


def _download_url(entry: PublishedWeights) -> Path:
    from filelock import FileLock
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get

    ((source, path),) = places(entry)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".incomplete")
    with FileLock(path.with_name(path.name + ".lock")):  # the processes of a distributed run ask at the same time
        if not path.is_file():
            with partial.open("ab") as file:
                try:
                    http_get(source, file, resume_size=file.tell(), displayed_filename=entry.name)
                except HfHubHTTPError as error:
                    # Nothing beyond what is there already: start again, rather than trust a file nobody has finished.
                    status = getattr(error.response, "status_code", None)
                    if status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                        raise
                    file.truncate(0)
                    http_get(source, file, displayed_filename=entry.name)
            partial.replace(path)
    return path


def _download_from_hub(entry: PublishedWeights) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    assert entry.hub_id is not None
    missing: list[str] = []
    for file in entry.hub_files or ():
        try:
            return Path(hf_hub_download(entry.hub_id, file))
        except LocalEntryNotFoundError:  # not in the cache, and the hub is out of reach
            raise
        except EntryNotFoundError:
            missing.append(file)
    raise FileNotFoundError(f"{entry.hub_id} has no {' or '.join(missing)}")


def _verify(entry: PublishedWeights, path: Path) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    record = cache_dir() / f"{entry.name}{path.suffix}.sha256"
    expected, where = entry.sha256, "the manifest"
    if expected is None and record.is_file():
        expected, where = record.read_text().strip(), str(record)
    if expected is None:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(found + "\n")
    elif found != expected:
        raise ValueError(
            f"{path}: SHA-256 is {found}, {where} says {expected}: not the published file. Delete it to download it "
            "again, or give its path as weights if you mean it"
        )
