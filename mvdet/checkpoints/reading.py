"""Reading weight files, never executing what they contain and never taking more memory than they fill on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mvdet.checkpoints.torch_files import beginning, read_torch
from mvdet.wording import first_line, plain

__all__ = ["read_state_dict", "read_torch"]

# What training code wraps a state dict in; averaged weights are what a run is evaluated with, so they come first.
_WRAPPERS = (
    *("state_dict_ema", "ema_state_dict", "model_ema"),  # timm, ml-cvnets, torchvision
    *("state_dict", "model_state_dict", "model"),
)
_DTYPES = {
    *(torch.float16, torch.float32, torch.float64, torch.bfloat16, torch.bool),
    *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
}
_AVERAGED = "n_averaged"  # what AveragedModel counts beside its module
_LONGEST_KEY = 300
# Parameters may share memory, but a file whose parameters are many times what it holds is made to take time.
_MOST_SHARED, _SMALL = 4, 2**20


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
        content = _read_safetensors(path) if path.suffix == ".safetensors" else read_torch(path)
        state_dict = _unwrap(content)
        _check_tensors(state_dict)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return state_dict


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        content: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"not a readable safetensors file ({first_line(error)}); {beginning(path)}") from None
    return content


def _unwrap(content: Any) -> dict[str, Tensor]:
    for _ in range(3):
        if isinstance(content, Mapping) and (wrapper := next((k for k in _WRAPPERS if k in content), None)):
            content = content[wrapper]
    if isinstance(content, Mapping) and all(key == _AVERAGED or str(key)[:7] == "module." for key in content):
        content = {key: value for key, value in content.items() if key != _AVERAGED}
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"holds no state dict but {type(content).__name__}")
    for key, value in content.items():
        if not isinstance(key, str) or not torch.is_tensor(value):
            raise ValueError(f"not a state dict, {plain(repr(key))} is no tensor")
        if len(key) > _LONGEST_KEY:
            raise ValueError(f"not a state dict, a key has {len(key)} characters: {plain(key)}")
    return dict(content)


def _check_tensors(state_dict: Mapping[str, Tensor]) -> None:
    """Plain tensors of numbers that own all of their values, and finite ones."""
    claimed, held = 0, {}
    for key, value in state_dict.items():
        name = plain(key)
        if value.is_nested or value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise ValueError(f"{name} is not a plain tensor")
        if value.dtype not in _DTYPES:
            raise ValueError(f"{name} is of {value.dtype}, which weights are not")
        storage = value.untyped_storage()
        if value.nbytes > storage.nbytes():
            raise ValueError(f"refused, {name} claims {value.nbytes} bytes and has {storage.nbytes()}")
        claimed += value.nbytes
        held[storage.data_ptr()] = storage.nbytes()
    if claimed > _MOST_SHARED * sum(held.values()) + _SMALL:
        raise ValueError(f"refused, its tensors claim {claimed} bytes and share {sum(held.values())}")
    for key, value in state_dict.items():
        if value.is_floating_point() and not (finite := torch.isfinite(value)).all():
            raise ValueError(f"{plain(key)} has {int((~finite).sum())} weights that are NaN or infinite")
