"""Reading weight files, never executing what they contain and never taking more memory than they fill on disk."""

from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from mvdet.checkpoints.formats.key_format import COUNTER
from mvdet.checkpoints.torch_files import ZIP_MAGIC, beginning, read_torch
from mvdet.checkpoints.wrappers import unwrap
from mvdet.wording import first_line, plain

__all__ = ["read_state_dict", "read_torch"]

_DTYPES = {
    *(torch.float16, torch.float32, torch.float64, torch.bfloat16, torch.bool),
    *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.uint32, torch.uint64),
}
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
        content = _read_safetensors(path) if _is_safetensors(path) else read_torch(path, stand_ins=True)
        state_dict = unwrap(content, path)
        _check_tensors(state_dict)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return state_dict


def _is_safetensors(path: Path) -> bool:
    """By the content, where that tells: people rename files."""
    with path.open("rb") as file:
        start = file.read(9)
    if start[:4] == ZIP_MAGIC:
        return False
    return path.suffix == ".safetensors" or start[8:] == b"{"  # the header's length, and then JSON


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        content: dict[str, Tensor] = safetensors.torch.load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"not a readable safetensors file ({first_line(error)}); {beginning(path)}") from None
    return content


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
        # a counter that was written in half precision may be infinite
        counts = key.endswith(COUNTER)
        if value.is_floating_point() and not counts and not (finite := torch.isfinite(value)).all():
            raise ValueError(f"{plain(key)} has {int((~finite).sum())} weights that are NaN or infinite")
