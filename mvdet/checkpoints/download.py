"""Published weights, fetched once: the hub's into its own cache, other files into torch.hub's.

`torch.hub.download_url_to_file` neither resumes nor notices that a connection ended early, so the file is fetched with
huggingface_hub's downloader, which does both, and torch.hub says where to. That library is imported where it is needed:
it is large, and files that are there already need none of it.
"""

import hashlib
import logging
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import torch
from filelock import FileLock
from torch import Tensor

from mvdet.checkpoints.manifest import PublishedWeights
from mvdet.checkpoints.reading import read_state_dict
from mvdet.wording import first_line

logger = logging.getLogger(__name__)
HUB_URL = "https://huggingface.co/{hub_id}/resolve/main/{file}"


def cache_dir() -> Path:
    """Where torch.hub keeps checkpoints (`$TORCH_HOME/hub/checkpoints`), and where a file fetched by hand is put."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def fetch(entry: PublishedWeights, *, force: bool = False) -> Path:
    """The local path of a published file, downloaded with a progress bar where it is not there yet.

    Its SHA-256 must be the manifest's, or where that knows none, the one seen on the first download.

    Args:
        entry: the file.
        force: download it anew, whatever is there, and forget the hash seen before.

    Raises:
        ConnectionError: if it cannot be downloaded; says which file to fetch by hand, and where to put it.
        ValueError: if what was downloaded is no weights file, or its hash is not the expected one; names the file.
    """
    return _fetch(entry, force=force)[0]


def read_published(entry: PublishedWeights) -> tuple[Path, dict[str, Tensor]]:
    """The local path of a published file, as `fetch` gives it, and what it holds; the file is parsed once.

    Raises:
        ConnectionError: as `fetch`.
        ValueError: as `fetch`, or if the file cannot be read safely, see `read_state_dict`.
    """
    path, state_dict = _fetch(entry, force=False)
    return path, read_state_dict(path) if state_dict is None else state_dict


def _fetch(entry: PublishedWeights, *, force: bool) -> tuple[Path, dict[str, Tensor] | None]:
    """The path, and what the file holds where that had to be looked into, as it is when its hash is not known yet."""
    path, state_dict = None if force else _cached(entry), None
    if path is None:
        path, state_dict = _download(entry, force=force)
    return path, _verify(entry, path, state_dict, renew=force)


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
        # large, see the module's docstring
        from huggingface_hub import try_to_load_from_cache

        for file in entry.hub_files or ():
            if isinstance(found := try_to_load_from_cache(entry.hub_id, file), str):
                return Path(found)
    return None


def _download(entry: PublishedWeights, *, force: bool) -> tuple[Path, dict[str, Tensor] | None]:
    # large, see the module's docstring
    from huggingface_hub.errors import HfHubHTTPError

    # The library that huggingface_hub speaks HTTP with changes between releases; its errors are this one's bases.
    http_errors: tuple[type[Exception], ...] = HfHubHTTPError.__bases__
    try:
        if entry.url is not None:
            return _download_url(entry, force=force)
        return _download_from_hub(entry, force=force), None
    except (OSError, *http_errors) as error:  # type: ignore[misc]
        by_hand = ", or ".join(
            f"{source} {'by hand and save it ' if not i else ''}as {path}"
            for i, (source, path) in enumerate(places(entry))
        )
        reason = first_line(error).rstrip(".")
        raise ConnectionError(
            f"cannot download {entry.name} ({reason}). Fetch {by_hand}, or give the path of your copy as weights"
        ) from None


def _download_url(entry: PublishedWeights, *, force: bool) -> tuple[Path, dict[str, Tensor] | None]:
    ((source, path),) = places(entry)
    state_dict = None
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, validator = (path.with_name(path.name + suffix) for suffix in (".incomplete", ".validator"))
    with FileLock(path.with_name(path.name + ".lock")):  # the processes of a distributed run ask at the same time
        if force:
            partial.unlink(missing_ok=True)
        if force or not path.is_file():
            _get(source, partial, validator, entry.name)
            validator.unlink(missing_ok=True)
            try:
                state_dict = read_state_dict(partial)
            except ValueError as error:
                partial.unlink()
                raise ValueError(f"{source} gave no weights, nothing was kept: {error}") from None
            partial.replace(path)
    return path, state_dict


def _get(source: str, partial: Path, validator: Path, shown: str) -> None:
    """Download into `partial`, going on where that ends if the server still has the same file (by `validator`)."""
    # large, see the module's docstring
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]  # exported since release 0.22

    answer = get_session().head(source).headers
    etag = answer.get("ETag", "")
    current = answer.get("Last-Modified", "") if etag.startswith("W/") else etag or answer.get("Last-Modified", "")
    if not (current and validator.is_file() and validator.read_text() == current):
        partial.unlink(missing_ok=True)
        validator.write_text(current)
    headers = {"If-Range": current} if current else None
    with partial.open("ab") as file:
        try:
            http_get(source, file, resume_size=file.tell(), headers=headers, displayed_filename=shown)
        except HfHubHTTPError as error:
            # Nothing beyond what is there already: start again, rather than trust a file nobody has finished.
            status = getattr(error.response, "status_code", None)
            if status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise
            file.truncate(0)
            http_get(source, file, headers=headers, displayed_filename=shown)


def _download_from_hub(entry: PublishedWeights, *, force: bool) -> Path:
    # large, see the module's docstring
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    assert entry.hub_id is not None
    missing: list[str] = []
    for file in entry.hub_files or ():
        try:
            path = Path(hf_hub_download(entry.hub_id, file, force_download=force))
        except LocalEntryNotFoundError:  # not in the cache, and the hub is out of reach
            raise
        except EntryNotFoundError:
            missing.append(file)
        else:
            for _, by_hand in places(entry):  # comes first where it is there: it was, and was not to be used
                by_hand.unlink(missing_ok=True)
            return path
    raise FileNotFoundError(f"{entry.hub_id} has no {' or '.join(missing)}")


def _verify(
    entry: PublishedWeights, path: Path, state_dict: dict[str, Tensor] | None, *, renew: bool
) -> dict[str, Tensor] | None:
    """Check the hash of a file that holds `state_dict`, if that is known; returns what is known of it then."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    record = cache_dir() / f"{entry.name}{path.suffix}.sha256"
    expected, where = entry.sha256, "the manifest"
    if expected is None and not renew and (recorded := _recorded(record)):
        expected, where = recorded, str(record)
    if expected is None:
        try:
            state_dict = read_state_dict(path) if state_dict is None else state_dict
        except ValueError:
            return None  # whoever loads it is told
        _record(path, record, found, renew=renew)
    elif found != expected:
        raise ValueError(
            f"{path}: SHA-256 is {found}, {where} says {expected}: not the published file. Delete it"
            f"{'' if entry.sha256 else f' and {record}'} (`python scripts/weights.py get {entry.name} --force`) to "
            "download it again, or give its path as weights if you mean it"
        )
    return state_dict


def _recorded(record: Path) -> str:
    return record.read_text().strip() if record.is_file() else ""


def _record(path: Path, record: Path, found: str, *, renew: bool) -> None:
    """Keep the hash of the first download, of a file that is known to hold weights."""
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(record.with_name(record.name.removesuffix(".sha256") + ".lock")):
            if renew or not _recorded(record):
                written = record.with_name(record.name + ".incomplete")
                written.write_text(found + "\n")
                written.replace(record)
    except OSError as error:  # a cache that is only read
        logger.warning("%s: the hash of %s is not recorded: %s", record, path, first_line(error))
