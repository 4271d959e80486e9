"""A MobileViT backbone in place of a stock model's own."""

from collections.abc import Sequence
from copy import deepcopy
from math import log2
from pathlib import Path
from typing import Any

import torch
import yaml
from ultralytics.nn import tasks

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.variants import get_variant
from mvdet.yolo.modules import MobileViT

DEEPEST_STRIDE = 32
# Rows after the last stage at stride 32 that belong to the neck: spatial pyramid pooling and attention.
CONTEXT_MODULES = frozenset({"SPP", "SPPF", "SPPELAN", "PSA", "C2PSA", "C2fPSA", "AIFI"})
_PROBE_SIZE = 256  # pixels; a multiple of 64, for the definitions that go down to that stride

Row = list[Any]


def graft(
    model: str | Path, backbone: str, *, weights: str | None = None, expand_output: bool = False
) -> dict[str, Any]:
    """The definition of a stock model with a MobileViT backbone.

    The rows up to the end of the last stage at stride 32 make way for one `MobileViT` row and an `Index` row for each
    map that is used; what follows that stage (`CONTEXT_MODULES`, a level at stride 64) and the head stay, renumbered.
    Strides and scale letters stay as they are; scales act on what stays.

    Args:
        model: file name of a model definition, as `YOLO(...)` takes it: "yolo11.yaml"; "yolo11s.yaml" makes s the
            scale that is taken when none is named.
        backbone: one of `mvdet.list_backbones()`.
        weights: of the backbone: a published name, or the path of a file or folder.
        expand_output: use v1's final 1x1 expansion as the map at stride 32.

    Returns:
        A definition that `DetectionModel(...)` and its kin take, and `write_yaml` writes.

    Raises:
        FileNotFoundError: if there is no such model definition.
        ValueError: for an unknown backbone, or a definition that has no stage at stride 32.
    """
    spec = get_variant(backbone)
    definition: dict[str, Any] = tasks.yaml_model_load(model)
    stock: list[Row] = definition["backbone"]
    strides = _row_strides(definition)
    end = _end_of_deepest_stage(stock, strides, model)
    kept, head = stock[end + 1 :], definition["head"]

    used = {strides[read] for i, row in enumerate([*kept, *head], end + 1) for read in _sources(row, i) if read <= end}
    levels = sorted(used | {DEEPEST_STRIDE})
    with torch.device("meta"):
        pyramid = MobileViTBackbone(spec, out_strides=levels, expand_output=expand_output)

    options: dict[str, Any] = {}
    if levels != [8, 16, 32]:
        options["out_strides"] = levels
    if expand_output:
        options["expand_output"] = True
    args = [backbone, weights, options] if options else [backbone, weights] if weights else [backbone]
    rows: list[Row] = [[-1, 1, MobileViT.__name__, args]]
    rows += [[0, 1, "Index", [channels, index]] for index, channels in enumerate(pyramid.channels)]

    # Old row -> new row: a stock row stands for the map of its stride, everything later moves up.
    offset = len(rows) - (end + 1)
    new_index = {read: 1 + levels.index(s) for read, s in enumerate(strides[: end + 1]) if s in levels}
    new_index |= {read: read + offset for read in range(end + 1, len(stock) + len(head))}
    moved = [_renumber(row, i, i + offset, new_index) for i, row in enumerate([*kept, *head], end + 1)]
    return definition | {"backbone": rows + moved[: len(kept)], "head": moved[len(kept) :]}


def write_yaml(definition: dict[str, Any], path: str | Path, *, comment: str = "") -> None:
    """Write a model definition as ultralytics' own look: one row a line, `comment` on top.

    A scale that the definition names comes first in its `scales`, which makes it the one taken by default.
    """
    settings = {k: v for k, v in definition.items() if k not in ("backbone", "head", "scale", "yaml_file", "ch")}
    scale = definition.get("scale")
    if scale and scale in settings.get("scales", {}):
        settings["scales"] = {scale: settings["scales"][scale], **settings["scales"]}
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    for key, value in settings.items():
        if isinstance(value, dict):
            lines += [f"{key}:", *(f"  {k}: {_flow(v)}" for k, v in value.items())]
        else:
            lines.append(f"{key}: {_flow(value)}")
    index = 0
    for part in ("backbone", "head"):
        lines += ["", f"{part}:", "  # [from, repeats, module, args]"]
        for row in definition[part]:
            lines.append(f"  - {_flow(row)} # {index}")
            index += 1
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row_strides(definition: dict[str, Any]) -> list[int]:
    """The stride of every row of the stock backbone, found by running it without data."""
    stock = deepcopy(definition) | {"head": []}
    if stock.get("scales"):
        stock["scale"] = stock.get("scale") or next(iter(stock["scales"]))
    with torch.device("meta"):
        layers, _ = tasks.parse_model(stock, 3, verbose=False)
        outputs: list[Any] = []
        x: Any = torch.zeros(1, 3, _PROBE_SIZE, _PROBE_SIZE)
        for layer in layers:
            reads = [outputs[f] if outputs else x for f in ([layer.f] if isinstance(layer.f, int) else layer.f)]
            outputs.append(layer(reads[0] if isinstance(layer.f, int) else reads))
    finest = [out[0] if isinstance(out, (list, tuple)) else out for out in outputs]
    return [2 ** round(log2(_PROBE_SIZE / out.shape[-1])) for out in finest]  # a padded map counts as its stage's


def _end_of_deepest_stage(stock: Sequence[Row], strides: Sequence[int], model: str | Path) -> int:
    """The last row of the last stage at stride 32."""
    if DEEPEST_STRIDE not in strides:
        raise ValueError(
            f"{model}: no row of the backbone reaches stride {DEEPEST_STRIDE}; strides are {list(strides)}"
        )
    end = max(i for i, s in enumerate(strides) if s == DEEPEST_STRIDE and (not i or strides[i - 1] < DEEPEST_STRIDE))
    while end + 1 < len(stock) and strides[end + 1] == DEEPEST_STRIDE and stock[end + 1][2] not in CONTEXT_MODULES:
        end += 1
    return end


def _sources(row: Row, index: int) -> list[int]:
    return [f if f >= 0 else index + f for f in ([row[0]] if isinstance(row[0], int) else row[0])]


def _renumber(row: Row, old: int, new: int, new_index: dict[int, int]) -> Row:
    """The row at its new place; a source that is written as -1, and is still the row before, stays so."""
    written = [row[0]] if isinstance(row[0], int) else row[0]
    moved = [new_index[read] for read in _sources(row, old)]
    sources = [-1 if was == -1 and now == new - 1 else now for was, now in zip(written, moved, strict=True)]
    return [sources[0] if isinstance(row[0], int) else sources, *row[1:]]


def _flow(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("...\n").strip()
