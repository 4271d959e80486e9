"""Weights files from one implementation's names to another's."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from mvdet.backbones.pyramid import LEVEL_STRIDES, MobileViTBackbone
from mvdet.backbones.variants import VARIANTS, VariantSpec
from mvdet.checkpoints.convert import STEM, check_backbone, flip_stem
from mvdet.checkpoints.formats import get_format
from mvdet.checkpoints.weights import Weights, WeightsLike, describe_weights


def rewrite_weights(weights: WeightsLike, output: str | Path, *, to: str = "mvdet", bgr: bool | None = None) -> Weights:
    """Write the weights of a file or folder as a `.safetensors` file with the names of another implementation.

    Args:
        weights: the file or folder, of any known source, or one that is open.
        output: the file to write; complete or not there at all.
        to: "mvdet", "timm", "transformers", "cvnets" or "mmpretrain".
        bgr: whether the source's network expects BGR images; None takes its publisher's habit. What is written expects
            what the target's published files do: BGR for v1 of transformers, cvnets and mmpretrain, RGB otherwise.

    Returns:
        What was read.

    Raises:
        FileNotFoundError: if there is no such file, or no folder to write to.
        ValueError: if `output` is no `.safetensors` file, or the weights cannot be read, are not of one known variant,
            are incomplete, or hold parts that the target has no names for.
    """
    output = Path(output)
    if output.suffix != ".safetensors":
        raise ValueError(f"{output}: converted weights are written as .safetensors, got {output.suffix!r}")
    if not output.absolute().parent.is_dir():
        raise FileNotFoundError(f"{output}: no folder {output.absolute().parent}")
    target = get_format(to, "target")
    opened = describe_weights(weights)
    spec = VARIANTS[opened.variant]
    try:
        check_backbone(opened.tensors, _backbone_of(opened.tensors, spec), opened.leftovers)
        is_bgr = opened.bgr if bgr is None else bgr
        tensors = flip_stem(opened.tensors, is_bgr != (spec.version in target.bgr_versions), asked=bgr is True)
        written = target.write(tensors, spec, opened.task) if target.rows else tensors
    except ValueError as error:
        raise ValueError(f"{opened.path}: {error}") from None
    partial = output.with_name(output.name + ".incomplete")
    safetensors.torch.save_file(
        {key: value.contiguous() for key, value in written.items()},
        partial,
        metadata={"format": "pt", "variant": opened.variant, "source": opened.source},
    )
    partial.replace(output)
    return opened


def _backbone_of(tensors: Mapping[str, Tensor], spec: VariantSpec) -> MobileViTBackbone:
    """A backbone of the levels and the image channels that the weights are of."""
    level = max(int(key.split(".")[2]) for key in tensors if key.startswith("backbone.stages."))
    stem = tensors.get(STEM)
    with torch.device("meta"):  # shapes only
        return MobileViTBackbone(
            spec,
            out_strides=(LEVEL_STRIDES[level],),
            in_channels=stem.shape[1] if stem is not None and stem.dim() == 4 else 3,
            expand_output="backbone.expand.conv.weight" in tensors,
        )
