"""Reading weight files, never executing what they contain and never taking more memory than they fill on disk."""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

# How torch.load names what `weights_only=True` does not let it build.
_UNSAFE_GLOBAL = re.compile(r"Unsupported global: GLOBAL (\S+)")
# What training code wraps a state dict in; averaged weights are what a run is evaluated with, so they come first.
_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model")
_ZIP_MAGIC, _PICKLE_MAGIC = b"PK\x03\x04", b"\x80"


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Names and tensors of a `.safetensors` file or of a `torch.save`d one (read with `weights_only=True`).

    Raises:
        FileNotFoundError: if `path` is not a file.
        ValueError: if the file cannot be read, would need arbitrary pickle or more memory than its size, holds no
            state dict, or has weights that are NaN or infinite; says which.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights file not found: {path}")
    try:
        content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
        state_dict = _unwrap(content)
        _check_tensors(state_dict)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return state_dict


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise ValueError(f"not a readable safetensors file ({_first_line(error)}); {_beginning(path)}") from None


def _read_torch(path: Path) -> Any:
    """The content of a torch file, zip archive or older."""
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == _ZIP_MAGIC:
        _check_archive(path)
    elif not magic.startswith(_PICKLE_MAGIC):
        raise ValueError(f"not a torch file; {_beginning(path)}")
    else:
        _check_legacy_sizes(path)
    return _load(path)


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever bytes somebody chose can make the unpickler raise
        raise _explain(error) from None


def _explain(error: Exception) -> ValueError:
    if isinstance(error, pickle.UnpicklingError) and (found := _UNSAFE_GLOBAL.search(str(error))):
        return ValueError(
            f"refused, it needs the class {found[1]} and would run its code; a weights file holds tensors only. "
            "Where it is a whole model of your own, save its backbone.state_dict() instead"
        )
    if "TorchScript" in str(error):
        return ValueError("a TorchScript archive; save the original module's state_dict() instead")
    return ValueError(f"not a readable torch file, truncated or damaged ({_first_line(error)})")


def _check_archive(path: Path) -> None:
    """torch stores tensors without compression: an archive that would unpack to more than itself is not torch's."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(f"not a readable torch file, truncated or damaged ({_first_line(error)})") from None
    size, unpacked = path.stat().st_size, sum(entry.file_size for entry in entries)
    if unpacked > size:
        raise ValueError(
            f"refused, its {size} bytes would unpack to {unpacked}: torch does not compress, this file is made to "
            "fill the memory"
        )


def _check_legacy_sizes(path: Path) -> None:
    """Before release 1.6, torch took what memory a file asked for before it looked whether the file holds as much."""
    from torch._subclasses.fake_tensor import FakeTensorMode  # torch's documented way to load sizes without data

    try:
        with FakeTensorMode():
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise _explain(error) from None
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in _tensors(content)}
    size, wanted = path.stat().st_size, sum(storages.values())
    if wanted > size:
        raise ValueError(f"refused, its {size} bytes claim to hold {wanted} bytes of tensors")


def _tensors(content: Any, depth: int = 4) -> list[Tensor]:
    if torch.is_tensor(content):
        return [content]
    if isinstance(content, Mapping) and depth:
        return [tensor for value in content.values() for tensor in _tensors(value, depth - 1)]
    return []


def _unwrap(content: Any) -> dict[str, Tensor]:
    for _ in range(3):
        if isinstance(content, Mapping) and (wrapper := next((k for k in _WRAPPERS if k in content), None)):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"holds no state dict but {type(content).__name__}")
    if strangers := [key for key, value in content.items() if not isinstance(key, str) or not torch.is_tensor(value)]:
        raise ValueError(f"not a state dict, {strangers[0]!r} is no tensor")
    return dict(content)


def _check_tensors(state_dict: Mapping[str, Tensor]) -> None:
    """Plain tensors that own all of their values, and finite ones."""
    for key, value in state_dict.items():
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise ValueError(f"{key} is not a plain tensor")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise ValueError(
                f"refused, {key} claims {value.numel() * value.element_size()} bytes and has "
                f"{value.untyped_storage().nbytes()}"
            )
        if not torch.isfinite(value).all():
            raise ValueError(f"{key} has {int((~torch.isfinite(value)).sum())} weights that are NaN or infinite")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _beginning(path: Path) -> str:
    """What a file begins with: a web page, or a git-lfs pointer, in place of weights is then seen at once."""
    with path.open("rb") as file:
        start = file.read(40)
    return f"it begins with {start!r}" if start else "it is empty"
