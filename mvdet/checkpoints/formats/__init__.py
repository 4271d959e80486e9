"""The implementations whose state dicts are known."""

from collections.abc import Iterable

from mvdet.checkpoints.formats.cvnets import CVNETS
from mvdet.checkpoints.formats.key_format import KeyFormat
from mvdet.checkpoints.formats.mmpretrain import MMPRETRAIN
from mvdet.checkpoints.formats.mvdet import MVDET
from mvdet.checkpoints.formats.timm import TIMM
from mvdet.checkpoints.formats.transformers import TRANSFORMERS
from mvdet.wording import listed

FORMATS = {key_format.name: key_format for key_format in (CVNETS, TIMM, TRANSFORMERS, MMPRETRAIN, MVDET)}


def get_format(name: str, what: str = "source") -> KeyFormat:
    """A format by its name; `what` is what the caller calls it.

    Raises:
        ValueError: for an unknown name, with the known ones.
    """
    if name not in FORMATS:
        raise ValueError(f"{what} must be one of {', '.join(FORMATS)}, got {name!r}")
    return FORMATS[name]


def detect_format(keys: Iterable[str]) -> KeyFormat:
    """The format of the implementation that wrote these keys.

    Raises:
        ValueError: if no known implementation uses such keys.
    """
    keys = list(keys)
    for key_format in FORMATS.values():
        if key_format.recognises(keys):
            return key_format
    raise ValueError(f"not a MobileViT state dict of a known source ({', '.join(FORMATS)}): {listed(sorted(keys))}")
