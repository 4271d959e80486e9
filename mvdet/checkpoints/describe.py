"""What a weights file is, without a model to load it into."""

from dataclasses import dataclass
from pathlib import Path

from mvdet.backbones.variants import VARIANTS
from mvdet.checkpoints.files import read_state_dict
from mvdet.checkpoints.folder import read_folder
from mvdet.checkpoints.formats import detect_format
from mvdet.checkpoints.identify import count_classes, find_task, find_variants

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
    """

    path: Path
    source: str
    variants: tuple[str, ...]
    task: str
    num_classes: int | None
    bgr: bool
    num_params: int


def describe_weights(weights: str | Path) -> WeightsInfo:
    """Read a file, or a folder with `config.json`, and say what it is.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if it cannot be read safely, is of no known source, or its folder says another variant than it has.
    """
    path, folder = Path(weights), None
    if path.is_dir():
        folder = read_folder(path)
        path = folder.weights
    state_dict = read_state_dict(path)
    try:
        key_format = detect_format(state_dict)
        converted = key_format.read(state_dict)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    variants = find_variants(converted)
    if folder is not None and folder.variant not in variants:
        raise ValueError(f"{path}: config.json says {folder.variant}, the weights are {' or '.join(variants)}'s")
    versions = {VARIANTS[name].version for name in variants}
    bgr = bool(versions) and versions <= key_format.bgr_versions
    return WeightsInfo(
        path=path,
        source=key_format.name,
        variants=tuple(variants),
        task=find_task(converted),
        num_classes=count_classes(converted),
        bgr=bgr if folder is None or folder.bgr is None else folder.bgr,
        num_params=sum(value.numel() for key, value in converted.items() if not key.endswith(_BUFFERS)),
    )
