"""Weights by name, file or folder, into models."""

from pathlib import Path

from torch import Tensor, nn

from mvdet.checkpoints.convert import HeadChoice, backbone_of, check_head, convert_state_dict
from mvdet.checkpoints.identify import find_task, variant_name
from mvdet.checkpoints.locate import find_weights
from mvdet.checkpoints.reading import read_state_dict
from mvdet.wording import plain


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
        TypeError: if `to` is no backbone and holds none.
    """
    check_head(head)
    backbone = backbone_of(to)
    variant = variant_name(backbone.spec)
    file = find_weights(weights, variant=variant, task=find_task(to.state_dict()))
    if None not in (file.variant, variant) and file.variant != variant:
        raise ValueError(f"{plain(weights)}: the weights are {file.variant}'s, the model is {variant}")
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
