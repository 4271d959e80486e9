"""Weights by name, file or folder, into models."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from torch import Tensor, nn

from mvdet.checkpoints.convert import HeadChoice, backbone_of, convert_state_dict
from mvdet.checkpoints.download import fetch
from mvdet.checkpoints.files import read_state_dict
from mvdet.checkpoints.folder import read_folder
from mvdet.checkpoints.identify import find_task, variant_name
from mvdet.checkpoints.manifest import find_published, is_weights_name, manifest, weight_names


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
    path = Path(weights)
    if path.is_dir():
        folder = read_folder(path)
        return WeightsFile(folder.weights, folder.variant, None, folder.bgr)
    if path.is_file():
        return WeightsFile(path)
    names = weight_names(e for e in manifest().values() if e.variant == variant and e.task == task)
    near = get_close_matches(str(weights), [*names, *manifest()], n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}? " if near else ""
    raise FileNotFoundError(f"weights file not found: {weights}; {hint}names for this model: {', '.join(names)}")


def read_weights(
    weights: str | Path,
    *,
    to: nn.Module,
    source: str | None = None,
    bgr: bool | None = None,
    head: HeadChoice = "load",
) -> dict[str, Tensor]:
    """Read weights of any known source, renamed and checked to fit `to`, which is not changed.

    Args:
        weights: a name, file or folder, as `find_weights` takes them.
        to: a backbone or a model that holds one as `backbone`; only its shapes matter.
        source: whose key names the file has; None recognises them.
        bgr: whether the file's network expects BGR images; None takes what is published of it.
        head: "load", or "skip" the layers whose size follows the number of classes, as in `convert_state_dict`.

    Raises:
        FileNotFoundError: if there is no such file, folder or name.
        ValueError: if it cannot be read safely or is of another network; the message names the file.
        ConnectionError: if it must be downloaded and cannot be; the message says what to fetch by hand.
    """
    backbone = backbone_of(to)
    variant = variant_name(backbone.spec)
    file = find_weights(weights, variant=variant, task=find_task(to.state_dict()))
    if None not in (file.variant, variant) and file.variant != variant:
        raise ValueError(f"{weights}: the weights are {file.variant}'s, the model is {variant}")
    state_dict = read_state_dict(file.path)
    try:
        return convert_state_dict(
            state_dict, to=to, source=source or file.format, bgr=file.bgr if bgr is None else bgr, head=head
        )
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from error


def load_weights(
    model: nn.Module,
    weights: str | Path,
    *,
    source: str | None = None,
    bgr: bool | None = None,
    head: HeadChoice = "load",
) -> None:
    """Load weights of any known source into a model, completely or not at all; arguments and errors as `read_weights`.

    With `head="skip"` the layers whose size follows the number of classes keep their values.
    """
    model.load_state_dict(read_weights(weights, to=model, source=source, bgr=bgr, head=head))
