"""Weights of any known source: found by name, file or folder, opened once, and put into models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mvdet.backbones.variants import VARIANTS
from mvdet.checkpoints.convert import HeadChoice, backbone_of, check_head, fit_state_dict, read_network
from mvdet.checkpoints.download import read_published
from mvdet.checkpoints.folder import read_folder
from mvdet.checkpoints.formats import FORMATS, detect_format, get_format
from mvdet.checkpoints.identify import count_classes, find_task, find_variants, head_options, variant_name
from mvdet.checkpoints.manifest import (
    find_published,
    get_published,
    is_weights_name,
    manifest,
    published_for,
    weight_names,
)
from mvdet.checkpoints.reading import read_state_dict
from mvdet.wording import did_you_mean, plain

_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """An opened weights file: what it is, and its tensors under our names.

    Made by `open_weights`. Whatever takes weights by name or path takes this in their place, and does not read the
    file again.

    Attributes:
        path: the file.
        source: whose key names it has, one of `mvdet.checkpoints.formats.FORMATS`.
        variants: the networks that it can be of: one, but for files that hold few levels.
        task: "classification", "detection", "segmentation" or "backbone".
        num_classes: classes of its head, with the background where the head counts it; None without a head.
        stated_bgr: whether its network expects BGR images, where the manifest or the file's folder states it; None
            leaves that to the habit of its source.
        head_options: arguments of the model's class, beside the number of classes, that its head was built with.
        tensors: by our names, with the prefix that a backbone has inside a model; the stem's input channels in the
            file's order. Not to be changed: models that are built of the same weights share them.
        leftovers: keys of the file that its source does not write.
    """

    path: Path
    source: str
    variants: tuple[str, ...]
    task: str
    num_classes: int | None
    stated_bgr: bool | None
    head_options: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    leftovers: Sequence[str]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

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

    @property
    def bgr(self) -> bool:
        """Whether its network expects BGR images; where nobody states it, what its source's published files do."""
        if self.stated_bgr is not None:
            return self.stated_bgr
        versions = {VARIANTS[name].version for name in self.variants}
        return bool(versions) and versions <= FORMATS[self.source].bgr_versions

    @property
    def num_params(self) -> int:
        """Parameters, running statistics not counted."""
        return sum(value.numel() for key, value in self.tensors.items() if not key.endswith(_BUFFERS))

    def fit(self, to: nn.Module, *, bgr: bool | None = None, head: HeadChoice = "load") -> dict[str, Tensor]:
        """The tensors that `to.load_state_dict` takes strictly; arguments and errors as `read_weights`."""
        check_head(head)
        stated = self.stated_bgr if bgr is None else bgr
        flip = backbone_of(to).spec.version in FORMATS[self.source].bgr_versions if stated is None else stated
        try:
            return fit_state_dict(
                self.tensors,
                self.leftovers,
                to=to,
                flip=flip,
                flip_asked=bgr is True,
                head=head,
                where=f"{self.path}: ",
            )
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error


WeightsLike = str | Path | Weights
"""What a `weights=` argument may be: a published name, the path of a file or folder, or an opened file."""


def open_weights(
    weights: WeightsLike, *, variant: str | None = None, task: str | None = None, source: str | None = None
) -> Weights:
    """Find weights, download published ones where they are not there yet, and read them.

    Args:
        weights: a published name ("DEFAULT", a publisher, a tag, or a full name of the manifest; a `Path` is never
            one), a weights file, a folder with `config.json` as transformers and timm save it, or what this function
            has returned before, which is handed back.
        variant: the backbone of the model that they are for; None where it is not known.
        task: what that model does: "classification", "detection", "segmentation", or "backbone", which takes a
            classifier's; None where there is no model yet: a name must then be a full one.
        source: whose key names the file has; None recognises them.

    Raises:
        FileNotFoundError: if there is no such file, folder or name; names the nearest name.
        ValueError: if the file cannot be read safely, is of no known source, or contradicts its folder's
            configuration; or if a name is another model's.
        ConnectionError: if it must be downloaded and cannot be; the message says what to fetch by hand.
    """
    if isinstance(weights, Weights):
        if source not in (None, weights.source):
            raise ValueError(f"{weights.path}: opened with the key names of {weights.source}, not of {source}")
        return weights
    if isinstance(weights, str) and is_weights_name(weights):
        wanted = "classification" if task == "backbone" else task
        entry = get_published(weights) if wanted is None else find_published(weights, variant=variant, task=wanted)
        path, state_dict = read_published(entry)
        return _named(path, state_dict, source or entry.format, entry.bgr)
    if not _exists(weights):
        known = "" if task is None else f"; {_known_names(weights, variant, task)}"
        raise FileNotFoundError(f"weights file not found: {plain(weights)}{known}")
    path = Path(weights)
    if not path.is_dir():
        return _named(path, read_state_dict(path), source, None)
    folder = read_folder(path)
    if variant not in (None, folder.variant):
        raise ValueError(f"{plain(weights)}: the weights are {folder.variant}'s, the model is {variant}")
    opened = _named(folder.weights, read_state_dict(folder.weights), source, folder.bgr)
    if variant is None and folder.variant not in opened.variants:
        found = " or ".join(opened.variants) or "no published variant"
        raise ValueError(f"{opened.path}: config.json says {folder.variant}, the weights are {found}'s")
    return opened


def describe_weights(weights: WeightsLike) -> Weights:
    """Read a file, or a folder with `config.json`, and say what it is; published names are not looked up.

    Raises:
        FileNotFoundError: if there is no such file or folder.
        ValueError: if it cannot be read safely, is of no known source, or its folder says another variant than it has.
    """
    return open_weights(Path(weights) if isinstance(weights, str) and weights else weights)


def choose_variant(name: str, weights: WeightsLike | None) -> tuple[str, WeightsLike | None]:
    """What the backbone's name "auto" stands for: the variant of the weights.

    Returns:
        `name`, or that variant, and the weights: opened, if they had to be looked into.

    Raises:
        ValueError: if `name` is "auto" and no weights decide which one it is, or they cannot be read.
        FileNotFoundError: if `name` is "auto" and the weights are no name, file or folder.
    """
    if name != "auto":
        return name, weights
    if weights is None:
        raise ValueError("the name 'auto' takes the variant from the weights, and there are none")
    if isinstance(weights, str) and is_weights_name(weights):
        variants = {entry.variant for entry in manifest().values() if entry.is_called(weights)}
        if len(variants) != 1:
            raise ValueError(
                f"weights {weights!r} names several variants; 'auto' takes a full name, a file or a folder"
            )
        return variants.pop(), weights
    opened = open_weights(weights)
    return opened.variant, opened


def read_weights(
    weights: WeightsLike,
    *,
    to: nn.Module,
    source: str | None = None,
    bgr: bool | None = None,
    head: HeadChoice = "load",
) -> dict[str, Tensor]:
    """Read weights of any known source, renamed and checked to fit `to`, which is not changed.

    Args:
        weights: a name, file, folder or opened file, as `open_weights` takes them.
        to: a backbone or a model that holds one as `backbone`; only its shapes matter.
        source: whose key names the file has; None recognises them.
        bgr: whether the file's network expects BGR images; None takes what is published of it.
        head: "load", or "skip" the layers whose size follows the number of classes, as in `convert_state_dict`.

    Raises:
        FileNotFoundError: if there is no such file, folder or name.
        ValueError: if it cannot be read safely or is of another network; the message names the file.
        ConnectionError: if it must be downloaded and cannot be; the message says what to fetch by hand.
        TypeError: if `to` is no backbone and holds none.
    """
    check_head(head)
    variant = variant_name(backbone_of(to).spec)
    opened = open_weights(weights, variant=variant, task=find_task(to.state_dict()), source=source)
    return opened.fit(to, bgr=bgr, head=head)


def load_weights(
    model: nn.Module,
    weights: WeightsLike,
    *,
    source: str | None = None,
    bgr: bool | None = None,
    head: HeadChoice = "load",
) -> None:
    """Load weights of any known source into a model, completely or not at all; arguments and errors as `read_weights`.

    With `head="skip"` the layers whose size follows the number of classes keep their values.
    """
    model.load_state_dict(read_weights(weights, to=model, source=source, bgr=bgr, head=head))


def _named(path: Path, state_dict: Mapping[str, Tensor], source: str | None, bgr: bool | None) -> Weights:
    """What a file holds under its own names, under ours, and what that shows it to be."""
    try:
        key_format = detect_format(state_dict) if source is None else get_format(source)
        tensors, leftovers = read_network(key_format, state_dict, f"{path}: ")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return Weights(
        path=path,
        source=key_format.name,
        variants=tuple(find_variants(tensors)),
        task=find_task(tensors),
        num_classes=count_classes(tensors),
        stated_bgr=bgr,
        head_options=head_options(tensors),
        tensors=tensors,
        leftovers=leftovers,
    )


def _known_names(weights: str | Path, variant: str | None, task: str) -> str:
    """The nearest published name, and those that the model could have been given."""
    names = weight_names(published_for(variant, "classification" if task == "backbone" else task))
    known = f"names for this model: {', '.join(names)}" if names else "nothing is published for this model"
    return did_you_mean(plain(weights), [*names, *manifest()], most=1) + known


def _exists(weights: str | Path) -> bool:
    if not str(weights):
        raise ValueError("weights must be a published name or the path of a file or folder, got ''")
    try:
        return Path(weights).exists()
    except (OSError, ValueError):  # what no file can be called
        return False
