"""What a weights file is, without a model to load it into."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mvdet.backbones.variants import VARIANTS
from mvdet.checkpoints.formats import detect_format
from mvdet.checkpoints.identify import count_classes, find_task, find_variants, head_options
from mvdet.checkpoints.locate import WeightsFile, find_local
from mvdet.checkpoints.reading import read_state_dict

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True)
class WeightsInfo:
    """What a weights file is.

    Attributes:
        path: the file.
        source: whose key names it has.
        variants: the networks that it can be of: one, but for files that hold few levels.
        task: "classification", "detection", "segmentation" or "backbone".
        num_classes: classes of its head, with the background where the head counts it; None without a head.
        bgr: whether its network expects BGR images: a guess from its source and version, for the file cannot say.
        num_params: parameters, running statistics not counted.
        head_options: arguments of the model's class, beside the number of classes, that its head was built with.
    """

    path: Path
    source: str
    variants: tuple[str, ...]
    task: str
    num_classes: int | None
    bgr: bool
    num_params: int
    head_options: dict[str, Any]

    @property
    def variant(self) -> str:
        """The one network that it can be of.

        Raises:
            ValueError: if there are several, or none; names them and the file.
        """
        if len(self.variants) != 1:
            found = " or ".join(self.variants) or "no published variant"
            raise ValueError(f"{self.path}: could be {found}; name the one you mean")
        return self.variants[0]


def describe_weights(weights: str | Path) -> WeightsInfo:
    """Read a file, or a folder with `config.json`, and say what it is.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if it cannot be read safely, is of no known source, or its folder says another variant than it has.
    """
    return describe(find_local(weights))[0]


def describe(file: WeightsFile) -> tuple[WeightsInfo, dict[str, Tensor]]:
    """What a file is, and what it holds, under its own names; raises as `describe_weights`."""
    path = file.path
    state_dict = read_state_dict(path)
    try:
        key_format = detect_format(state_dict)
        converted, _ = key_format.read(state_dict)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    variants = find_variants(converted)
    if file.variant is not None and file.variant not in variants:
        found = " or ".join(variants) or "no published variant"
        raise ValueError(f"{path}: config.json says {file.variant}, the weights are {found}'s")
    versions = {VARIANTS[name].version for name in variants}
    bgr = bool(versions) and versions <= key_format.bgr_versions
    info = WeightsInfo(
        path=path,
        source=key_format.name,
        variants=tuple(variants),
        task=find_task(converted),
        num_classes=count_classes(converted),
        bgr=bgr if file.bgr is None else file.bgr,
        num_params=sum(value.numel() for key, value in converted.items() if not key.endswith(_BUFFERS)),
        head_options=head_options(converted),
    )
    return info, state_dict
