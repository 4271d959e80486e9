"""Weights files from one implementation's names to another's."""

from pathlib import Path

import safetensors.torch

from mvdet.backbones.pyramid import MobileViTBackbone
from mvdet.backbones.variants import VARIANTS
from mvdet.checkpoints.convert import check_backbone
from mvdet.checkpoints.describe import WeightsInfo, describe_weights
from mvdet.checkpoints.files import read_state_dict
from mvdet.checkpoints.formats import get_format

_STEM = "backbone.stem.conv.weight"


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
    target = get_format(to)
    info = describe_weights(weights)
    if len(info.variants) != 1:
        raise ValueError(f"{info.path}: could be {' or '.join(info.variants) or 'no published variant'}")
    spec = VARIANTS[info.variants[0]]
    converted = get_format(info.source).read(read_state_dict(info.path))
    check_backbone(converted, MobileViTBackbone(spec, expand_output="backbone.expand.conv.weight" in converted))
    is_bgr = info.bgr if bgr is None else bgr
    if is_bgr != (spec.version in target.bgr_versions):
        converted[_STEM] = converted[_STEM].flip(1)
    written = target.write(converted, spec, info.task) if target.rows else converted
    partial = output.with_name(output.name + ".incomplete")
    safetensors.torch.save_file(
        {key: value.contiguous() for key, value in written.items()},
        partial,
        metadata={"format": "pt", "variant": info.variants[0], "source": info.source},
    )
    partial.replace(output)
    return info
