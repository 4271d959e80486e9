"""What an implementation calls the parts of a MobileViT: a table, not code."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class KeyFormat:
    """The key names of one implementation.

    Attributes:
        name: how `source=` calls it.
        signatures: keys that only this implementation writes; one of them recognises it.
        table: regular expressions and their replacements by our names, applied in order, each at most once a key. What
            no row touches keeps its name, and whatever then fails to match the network exactly is an error.
        prefix: what some files put in front of the network's keys.
        bgr_versions: MobileViT versions whose published weights expect BGR images.
    """

    name: str
    signatures: tuple[str, ...]
    table: tuple[tuple[str, str], ...]
    prefix: str = ""
    bgr_versions: frozenset[int] = frozenset()

    def recognises(self, keys: Iterable[str]) -> bool:
        """Whether keys are of this format."""
        return not set(self.signatures).isdisjoint(keys)

    def rename(self, state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same tensors under our names.

        Raises:
            ValueError: if two keys stand for the same parameter.
        """
        renamed: dict[str, Tensor] = {}
        for key, value in state_dict.items():
            name = key.removeprefix(self.prefix)
            for pattern, replacement in self.table:
                name = re.sub(pattern, replacement, name, count=1)
            if name in renamed:
                raise ValueError(f"two keys of the state dict stand for {name!r}; the second is {key!r}")
            renamed[name] = value
        return renamed
