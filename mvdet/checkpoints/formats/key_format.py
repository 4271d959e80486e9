"""What an implementation calls the parts of a MobileViT: a table that is read in both directions."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from mvdet.backbones.variants import VariantSpec
from mvdet.wording import listed, plain

# What a module of any implementation keeps; rows of a table name modules, and these are common to all.
_LEAF = r"\.(?P<leaf>weight|bias|running_mean|running_var|num_batches_tracked)"
COUNTER = ".num_batches_tracked"
"""The end of the keys of what a batch normalisation counts and does not use: files may lack it."""
# What wrappers put into keys, of the whole network or of a part: DistributedDataParallel and AveragedModel,
# torch.compile, FullyShardedDataParallel, activation checkpointing.
_WRAPPED = re.compile(r"(?<![^.])(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
# What a network of somebody's own puts before the keys of the MobileViT that it holds, as in `model.net.`
_OUTER = r"(?P<outer>([^.]+\.){0,5}?)"
_AVERAGED = re.compile(r"(?<![a-z])(ema|swa|avg|average|averaged)(?![a-z])")
_PLACEHOLDER = re.compile(r"\\\{(\w+)\\\}")


@dataclass(frozen=True)
class Row:
    """One module under both its names.

    Names may hold placeholders for numbers. Ours: `{s}` a stage, `{t}` a stage with transformers (2 to 4; its block 1
    is the MobileViT block), `{b}` a block, `{i}` any other index. Theirs: those, `{layer}`, which is the stage + 1, and
    `{depth}`, the number of transformer layers in that stage. The first row that fits counts.

    Attributes:
        ours: our module.
        theirs: their module; several where they keep apart what we hold stacked along the first dimension.
        version: the MobileViT version that the row is for when names are written, None for both. When names are read,
            every row counts: no implementation uses one name for two things.
    """

    ours: str
    theirs: str | tuple[str, ...]
    version: int | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Their modules, one or more."""
        return (self.theirs,) if isinstance(self.theirs, str) else self.theirs


def conv_norm(ours: str, theirs: str, version: int | None = None, *, names: tuple[str, str]) -> tuple[Row, Row]:
    """The rows of a convolution and its batch normalisation; `names` is what they call the two inside `theirs`."""
    return (
        Row(f"{ours}.conv", f"{theirs}.{names[0]}", version),
        Row(f"{ours}.norm", f"{theirs}.{names[1]}", version),
    )


@dataclass(frozen=True)
class KeyFormat:
    """The key names of one implementation.

    Attributes:
        name: how `source=` calls it.
        signature: a regular expression for keys that only this implementation writes, from the beginning of its own
            names on; one of them recognises it.
        rows: the table. A key that no row knows is left over, unless it is `kept`.
        aliases: regular expressions and replacements for what some of their files put around their names.
        prefixes: what they put before the network's own keys, by (task, version); nothing where not listed.
        kept: a regular expression for the beginnings of keys that are called what we call them.
        versions: the MobileViT versions that it has.
        bgr_versions: those of them whose published weights expect BGR images.
    """

    name: str
    signature: str
    rows: tuple[Row, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    prefixes: Mapping[tuple[str, int], str] = field(default_factory=dict)
    kept: str = r"backbone\."
    versions: frozenset[int] = frozenset({1, 2})
    bgr_versions: frozenset[int] = frozenset()

    def recognises(self, keys: Iterable[str]) -> bool:
        """Whether keys are of this format, whatever wrappers and other networks put before them."""
        return bool(self._networks(keys))

    def outer(self, keys: Iterable[str]) -> str:
        """What stands before the keys of the network, "" where nothing does; wrappers are not counted.

        Where there is the network and an average of it, as in `model.` and `ema_model.`, it is the average that counts.

        Raises:
            ValueError: if there are several networks and one of them is not called an average; names them.
        """
        networks = self._networks(keys)
        averaged = [outer for outer in networks if _AVERAGED.search(outer)]
        if len(networks) > 1 and len(averaged) != 1:
            shown = listed(outer or "no prefix" for outer in networks)
            raise ValueError(f"{len(networks)} networks are in it ({shown}); save the one that is meant by itself")
        return next(iter(averaged if len(networks) > 1 else networks), "")

    def beside(self, keys: Iterable[str]) -> list[str]:
        """The keys that are not of the network, because they do not begin as its keys do; `read` leaves them out."""
        keys = list(keys)
        outer = self.outer(keys)
        return [key for key in keys if not _WRAPPED.sub("", key).startswith(outer)]

    def _networks(self, keys: Iterable[str]) -> list[str]:
        """What stands before the keys of each network, in the file's order."""
        matches = (self._signature.match(_WRAPPED.sub("", key)) for key in keys)
        return list(dict.fromkeys(match["outer"] for match in matches if match))

    def read(self, state_dict: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
        """The same tensors under our names, what they keep apart put together; and what is left over.

        Returns:
            Tensors by our names, and the keys of the network that are neither in the table nor kept: this
            implementation does not write them.

        Raises:
            ValueError: if two keys stand for the same parameter, a part of a stacked one is missing, or there are
                several networks, see `outer`.
        """
        outer = self.outer(state_dict)
        found: dict[str, dict[int, str]] = {}
        wanted: dict[str, int] = {}
        leftovers: list[str] = []
        for key in state_dict:
            bare = _WRAPPED.sub("", key)
            if not bare.startswith(outer):
                continue
            name, part, parts = self._our_name(bare.removeprefix(outer))
            if not parts and not re.match(self.kept, name):
                leftovers.append(key)
                continue
            if (other := found.setdefault(name, {}).setdefault(part, key)) != key:
                raise ValueError(f"two keys stand for {plain(name)}: {plain(other)} and {plain(key)}")
            wanted[name] = parts or 1
        converted = {}
        for name, keys in found.items():
            if len(keys) != wanted[name]:
                raise ValueError(f"{name} needs {wanted[name]} tensors, only {listed(keys.values())} is there")
            tensors = [state_dict[keys[part]] for part in range(wanted[name])]
            converted[name] = tensors[0] if len(tensors) == 1 else torch.cat(tensors)
        return converted, leftovers

    def write(self, state_dict: Mapping[str, Tensor], spec: VariantSpec, task: str) -> dict[str, Tensor]:
        """The inverse of `read`, for a network of `spec` inside a model for `task`.

        Raises:
            ValueError: for a network that this implementation does not have, or parameters that it has no name for.
        """
        if spec.version not in self.versions:
            raise ValueError(f"{self.name} has no MobileViT of version {spec.version}")
        prefix = self.prefixes.get((task, spec.version), "")
        written, unknown = {}, []
        for key, value in state_dict.items():
            names = [prefix + name if key.startswith("backbone.") else name for name in self._their_names(key, spec)]
            if len(names) == 1:
                written[names[0]] = value
            elif names:  # cloned: parts that share memory cannot be saved as safetensors
                written |= {name: part.clone() for name, part in zip(names, value.chunk(len(names)), strict=True)}
            else:
                unknown.append(key)
        if unknown:
            raise ValueError(f"{self.name} has no name for {len(unknown)} keys: {listed(unknown)}")
        return written

    def _our_name(self, key: str) -> tuple[str, int, int]:
        """Our name of one of their keys, which part of our tensor it is, and of how many: 0 where no row knows it."""
        for alias, replacement in self.aliases:
            key = re.sub(alias, replacement, key, count=1)
        for row, patterns in self._readers:
            for part, pattern in enumerate(patterns):
                if match := pattern.fullmatch(key):
                    numbers = {name: int(number) for name, number in match.groupdict().items() if name != "leaf"}
                    if "layer" in numbers:
                        numbers["s"] = numbers["t"] = numbers["layer"] - 1
                    return f"{row.ours.format(**numbers)}.{match['leaf']}", part, len(patterns)
        return key, 0, 0

    def _their_names(self, key: str, spec: VariantSpec) -> list[str]:
        for row, pattern in self._writers:
            if row.version not in (None, spec.version) or not (match := pattern.fullmatch(key)):
                continue
            numbers = {name: int(number) for name, number in match.groupdict().items() if name != "leaf"}
            if (stage := numbers.get("s", numbers.get("t"))) is not None:
                numbers |= {"layer": stage + 1, "depth": spec.stages[stage].depth}
            return [f"{theirs.format(**numbers)}.{match['leaf']}" for theirs in row.parts]
        return []

    @cached_property
    def _signature(self) -> re.Pattern[str]:
        return re.compile(_OUTER + self.signature)

    @cached_property
    def _readers(self) -> list[tuple[Row, list[re.Pattern[str]]]]:
        return [(row, [_pattern(theirs) for theirs in row.parts]) for row in self.rows]

    @cached_property
    def _writers(self) -> list[tuple[Row, re.Pattern[str]]]:
        return [(row, _pattern(row.ours)) for row in self.rows]


def _pattern(template: str) -> re.Pattern[str]:
    def number(match: re.Match[str]) -> str:
        return f"(?P<{match[1]}>{'[2-4]' if match[1] == 't' else '[0-9]+'})"

    return re.compile(_PLACEHOLDER.sub(number, re.escape(template)) + _LEAF)
