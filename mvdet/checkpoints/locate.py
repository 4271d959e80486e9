"""What a `weights=` argument means: published weights, a file or a folder."""

from dataclasses import dataclass
from pathlib import Path

from mvdet.checkpoints.download import fetch
from mvdet.checkpoints.folder import read_folder
from mvdet.checkpoints.manifest import find_published, is_weights_name, manifest, published_for, weight_names
from mvdet.wording import did_you_mean, plain


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A local file, and what is known of it beyond its content.

    Attributes:
        path: the file.
        variant: the network that its folder or the manifest says it is of.
        format: whose key names it has; None recognises them.
        bgr: whether its network expects BGR images; None takes its publisher's habit.
    """

    path: Path
    variant: str | None = None
    format: str | None = None
    bgr: bool | None = None


def find_weights(weights: str | Path, *, variant: str | None, task: str) -> WeightsFile:
    """The local file that a `weights=` argument means; published ones are downloaded where they are not there yet.

    Args:
        weights: a name ("DEFAULT", a publisher, a tag, or a full name of the manifest; a `Path` is never one), a
            weights file, or a folder with `config.json` as transformers and timm save it.
        variant: the backbone that they are for; None where it is not known.
        task: "classification", "detection", "segmentation" or "backbone", which takes a classifier's.

    Raises:
        FileNotFoundError: if there is no such file, folder or name; names the nearest name.
        ValueError: if a name is another model's, or a folder's configuration is not understood.
        ConnectionError: if it must be downloaded and cannot be.
    """
    task = "classification" if task == "backbone" else task
    if isinstance(weights, str) and is_weights_name(weights):
        entry = find_published(weights, variant=variant, task=task)
        return WeightsFile(fetch(entry), entry.variant, entry.format, entry.bgr)
    if not _exists(weights):
        names = weight_names(published_for(variant, task))
        known = f"names for this model: {', '.join(names)}" if names else "nothing is published for this model"
        known = did_you_mean(plain(weights), [*names, *manifest()], most=1) + known
        raise FileNotFoundError(f"weights file not found: {plain(weights)}; {known}")
    return find_local(weights)


def find_local(weights: str | Path) -> WeightsFile:
    """A weights file, or what a folder with `config.json` says of its own.

    Raises:
        FileNotFoundError: if there is no such file or folder, or the folder lacks the weights or the configuration.
        ValueError: if it is the empty string, or a folder's configuration is not understood.
    """
    if not _exists(weights):
        raise FileNotFoundError(f"weights file not found: {plain(weights)}")
    path = Path(weights)
    if path.is_dir():
        folder = read_folder(path)
        return WeightsFile(folder.weights, folder.variant, None, folder.bgr)
    return WeightsFile(path)


def resolve_name(name: str, weights: str | Path | None) -> str:
    """`name`, or the variant of the weights where it is "auto".

    Raises:
        ValueError: if `name` is "auto" and no weights decide which one it is, or they cannot be read.
        FileNotFoundError: if `name` is "auto" and the weights are no name, file or folder.
    """
    if name != "auto":
        return name
    if weights is None:
        raise ValueError("the name 'auto' takes the variant from the weights, and there are none")
    if isinstance(weights, str) and is_weights_name(weights):
        variants = {entry.variant for entry in manifest().values() if entry.is_called(weights)}
        if len(variants) != 1:
            raise ValueError(
                f"weights {weights!r} names several variants; 'auto' takes a full name, a file or a folder"
            )
        return variants.pop()
    from mvdet.checkpoints.describe import describe_weights  # which asks find_local

    return describe_weights(weights).variant


def _exists(weights: str | Path) -> bool:
    if not str(weights):
        raise ValueError("weights must be a published name or the path of a file or folder, got ''")
    try:
        return Path(weights).exists()
    except (OSError, ValueError):  # what no file can be called
        return False
