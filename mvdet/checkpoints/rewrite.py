"""Weights files from one implementation's names to another's."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from mvdet.backbones.pyramid import LEVEL_STRIDES, MobileViTBackbone
from mvdet.backbones.variants import VARIANTS, VariantSpec
from mvdet.checkpoints.convert import STEM, check_backbone, flip_stem
from mvdet.checkpoints.describe import WeightsInfo, describe
from mvdet.checkpoints.formats import get_format
from mvdet.checkpoints.locate import find_local


def rewrite_weights(
    weights: str | Path, output: str | Path, *, to: str = "mvdet", bgr: bool | None = None
) -> WeightsInfo:
    """Write the weights of a file or folder as a `.safetensors` file with the names of another implementation.

    Args:
        weights: the file or folder, of any known source.
        output: the file to write; complete or not there at all.
        to: "mvdet", "timm", "transformers" or "cvnets".
        bgr: whether the source's network expects BGR images; None takes its publisher's habit. What is written expects
            what the target's published files do: BGR for v1 of transformers and cvnets, RGB otherwise.

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
    info, state_dict = describe(find_local(weights))
    spec = VARIANTS[info.variant]
    converted, strangers = get_format(info.source).read(state_dict)
    try:
        check_backbone(converted, _backbone_of(converted, spec), strangers)
        is_bgr = info.bgr if bgr is None else bgr
        flip_stem(converted, is_bgr != (spec.version in target.bgr_versions), asked=bgr is True)
    except ValueError as error:
        raise ValueError(f"{info.path}: {error}") from None
    written = target.write(converted, spec, info.task) if target.rows else converted
    partial = output.with_name(output.name + ".incomplete")
    safetensors.torch.save_file(
        {key: value.contiguous() for key, value in written.items()},
        partial,
        metadata={"format": "pt", "variant": info.variant, "source": info.source},
    )
    partial.replace(output)
    return info


def _backbone_of(converted: Mapping[str, Tensor], spec: VariantSpec) -> MobileViTBackbone:
    """A backbone of the levels and the image channels that the weights are of."""
    level = max(int(key.split(".")[2]) for key in converted if key.startswith("backbone.stages."))
    stem = converted.get(STEM)
    with torch.device("meta"):  # shapes only
        return MobileViTBackbone(
            spec,
            out_strides=(LEVEL_STRIDES[level],),
            in_channels=stem.shape[1] if stem is not None and stem.dim() == 4 else 3,
            expand_output="backbone.expand.conv.weight" in converted,
        )
