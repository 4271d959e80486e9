"""Reading weight files, never executing what they contain."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from mvdet.checkpoints.convert import convert_state_dict

# How torch.load names what `weights_only=True` does not let it build.
_UNSAFE_GLOBAL = re.compile(r"Unsupported global: GLOBAL (\S+)")
# What training code wraps a state dict in.
_WRAPPERS = ("state_dict", "model_state_dict", "model")


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Names and tensors of a `.safetensors` file or of a `torch.save`d one (read with `weights_only=True`).

    Raises:
        FileNotFoundError: if `path` is not a file.
        ValueError: if the file cannot be read, would need arbitrary pickle, or holds no state dict; says which.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights file not found: {path}")
    try:
        if path.suffix == ".safetensors":
            content: Any = safetensors.torch.load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = _UNSAFE_GLOBAL.search(str(error))
        if found is None:
            raise ValueError(f"{path}: not a torch file") from error
        raise ValueError(
            f"{path}: refused, it needs the class {found[1]} and would run its code; a weights file holds tensors "
            "only. Where it is a whole model of your own, save its backbone.state_dict() instead"
        ) from error
    except (safetensors.SafetensorError, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path}: not a readable weights file ({reason})") from error
    while isinstance(content, Mapping) and (wrapper := next((k for k in _WRAPPERS if k in content), None)):
        content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"{path}: holds no state dict but {type(content).__name__}")
    if strangers := [key for key, value in content.items() if not torch.is_tensor(value)]:
        raise ValueError(f"{path}: not a state dict, {strangers[0]!r} is no tensor")
    return dict(content)


def read_weights(path: str | Path, *, to: nn.Module) -> dict[str, Tensor]:
    """Read a weights file of any known source, renamed and checked to fit `to`, which is not changed.

    Args:
        path: a `.pt`, `.pth`, `.bin` or `.safetensors` file.
        to: a backbone or a model that holds one as `backbone`; only its shapes matter.

    Raises:
        FileNotFoundError: if `path` is not a file.
        ValueError: if it cannot be read safely or is of another network; the message names the file.
    """
    state_dict = read_state_dict(path)
    try:
        return convert_state_dict(state_dict, to=to)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def load_weights(model: nn.Module, path: str | Path) -> None:
    """Load a weights file of any known source into a model, completely or not at all; arguments as `read_weights`.

    Raises:
        FileNotFoundError: if `path` is not a file.
        ValueError: if it cannot be read safely or is of another network; the message names the file.
    """
    model.load_state_dict(read_weights(path, to=model))
