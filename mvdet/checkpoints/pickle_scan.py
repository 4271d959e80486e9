"""What a pickle would do, found out by reading its opcodes and doing none of it.

`torch.load(weights_only=True)` lets a pickle call `bytearray(n)`, resize storages and hash what takes for ever. State
dicts and training checkpoints do none of that: what they call, and with what, is listed here, and all else is refused.
"""

import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import IO, Any

from mvdet.checkpoints.stand_ins import STAND_INS, StandIn
from mvdet.wording import plain

# Storage types that name what is in them, and the bytes an element takes.
_STORAGES = {
    "torch.storage.UntypedStorage": 1,
    **dict.fromkeys((f"torch.{kind}Storage" for kind in ("Bool", "Byte", "Char")), 1),
    **dict.fromkeys((f"torch.{kind}Storage" for kind in ("BFloat16", "Half", "Short")), 2),
    **dict.fromkeys((f"torch.{kind}Storage" for kind in ("Float", "Int")), 4),
    **dict.fromkeys((f"torch.{kind}Storage" for kind in ("ComplexFloat", "Double", "Long")), 8),
    "torch.ComplexDoubleStorage": 16,
}
# Tensors that are views of a storage, made from it, offset, size, stride and so many arguments in all.
_VIEWS = {"torch._utils._rebuild_tensor_v2": 6, "torch._utils._rebuild_tensor_v3": 7}
# Tensors that are refused later, by the name that they have in the state dict, and those that cannot wait for that.
_NAMED_LATER = {"torch._utils._rebuild_meta_tensor_no_storage", "torch._utils._rebuild_sparse_tensor"}
_NO_WEIGHTS = {
    "torch._utils._rebuild_nested_tensor": "nested",
    "torch._utils._rebuild_qtensor": "quantised",
    "torch._utils._rebuild_wrapper_subclass": "wrapped",
}
_CONTAINERS = {"collections.OrderedDict": (), "collections.Counter": ("dict",)}  # and what they may be made from
_CALLED = {
    *_VIEWS,
    *_NAMED_LATER,
    *_CONTAINERS,
    "torch._utils._rebuild_parameter",
    "torch.Size",
    "torch.device",
    "torch.serialization._get_layout",
}
_DTYPES = {
    f"torch.{name}"
    for name in (
        *("bool", "bfloat16", "complex32", "complex64", "complex128", "float16", "float32", "float64"),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        *(f"float8_{kind}" for kind in ("e4m3fn", "e4m3fnuz", "e5m2", "e5m2fnuz", "e8m0fnu")),
        "float4_e2m1fn_x2",
        *("bits8", "bits16", "bits1x8", "bits2x4", "bits4x2"),
    )
}
_BYTES = "_codecs.encode"  # what bytes, a NumPy number's, are made with in this protocol
# Opcodes that torch.save writes: those that only push something, and those that make tuples.
_VALUES = {"BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "LONG1"}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": None, "NEWFALSE": None, "EMPTY_TUPLE": ()}
_EMPTY = {"EMPTY_DICT": "dict", "EMPTY_LIST": "list", "EMPTY_SET": "set"}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


class RefusedError(ValueError):
    """The pickle is whole, and does what no weights file needs."""


@dataclass(frozen=True, slots=True)
class _Global:
    name: str


@dataclass(frozen=True, slots=True)
class _Made:
    """Something that the pickle builds; a storage's size in bytes where it is one."""

    by: str
    itemsize: int = 0
    nbytes: int = 0


def scan_pickles(stream: IO[bytes], count: int = 1, *, stand_ins: bool = False) -> Mapping[str, int]:
    """Read so many pickles of `stream`, one behind the other.

    Args:
        stream: where they are read from.
        count: how many they are.
        stand_ins: whether they may need what `STAND_INS` has something in place of.

    Returns:
        The storages that they ask for: their keys, and the bytes that each claims to have.

    Raises:
        RefusedError: if one would call anything that state dicts and training checkpoints do not, or claims a tensor
            that its storage cannot hold; names it.
        ValueError: if one is damaged.
    """
    storages: dict[str, int] = {}
    foreign = ""
    try:
        for _ in range(count):
            scan = _Scan(storages, _CALLED | STAND_INS.keys() | {_BYTES} if stand_ins else _CALLED)
            for opcode, argument, _ in pickletools.genops(stream):
                scan.step(opcode, argument)
                foreign = foreign or scan.foreign
    except RefusedError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        if not foreign:
            raise ValueError(f"damaged pickle: {error}") from None
    if foreign:
        raise RefusedError(f"refused, its pickle has the opcode {foreign}, which torch.save does not write")
    return storages


class _Scan:
    """The state of an unpickler that builds nothing: tuples of numbers and names are followed, all else is opaque."""

    def __init__(self, storages: dict[str, int], called: Set[str]) -> None:
        self.storages = storages
        self.called = called
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.foreign = ""

    def step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Do what one opcode does to the stack."""
        push, pop, name = self.stack.append, self.stack.pop, opcode.name
        if name in _VALUES:
            push(argument)
        elif name in _CONSTANTS:
            push(_CONSTANTS[name])
        elif name in _EMPTY:
            push(_Made(_EMPTY[name]))
        elif name == "MARK":
            push(_MARK)
        elif name in _TUPLES:
            items = tuple(self.stack[-_TUPLES[name] :])
            del self.stack[-_TUPLES[name] :]
            push(items)
        elif name == "TUPLE":
            push(tuple(self._to_mark()))
        elif name in ("BINGET", "LONG_BINGET"):
            push(self.memo[argument])
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif name == "APPEND":
            pop()
        elif name == "APPENDS":
            self._to_mark()
        elif name == "SETITEM":
            pop()
            _check_keys([pop()])
        elif name == "SETITEMS":
            _check_keys(self._to_mark()[::2])
        elif name == "GLOBAL":
            push(self._known(*argument.split(" ", 1)))
        elif name == "BINPERSID":
            push(self._storage(pop()))
        elif name == "REDUCE":
            arguments = pop()
            push(self._call(pop(), arguments))
        elif name == "NEWOBJ" and _stand_in(getattr(self.stack[-2], "name", "")):
            pop()
            push(_Made(pop().name))
        elif name == "BUILD":
            state = pop()
            made = _stand_in(getattr(self.stack[-1], "by", ""))
            # an OrderedDict has _metadata; a tensor's state would resize storages
            if made is not StandIn and (made is not OrderedDict or state != _Made("dict")):
                raise RefusedError("refused, it sets the state of something else than an OrderedDict")
        elif name not in ("PROTO", "STOP"):
            self._foreign_step(opcode, argument)

    def _foreign_step(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """What torch.load does not read is refused in any case: it is followed to name the code that would run."""
        self.foreign = self.foreign or opcode.name
        if opcode.name == "INST":
            self._known(*argument.split(" ", 1))
        elif opcode.name == "STACK_GLOBAL":
            name, module = self.stack.pop(), self.stack.pop()
            if not isinstance(module, str) or not isinstance(name, str):
                raise RefusedError("refused, its pickle names a class in a way that torch.save does not")
            self.stack.append(self._known(module, name))
        elif opcode.name == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif not opcode.stack_before and len(opcode.stack_after) == 1:
            self.stack.append(argument)
        elif opcode.name != "FRAME":
            raise RefusedError(f"refused, its pickle has the opcode {opcode.name}, which torch.save does not write")

    def _to_mark(self) -> list[Any]:
        items = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]

    def _storage(self, described: Any) -> _Made:
        """A storage as torch.save describes it: ("storage", type, key, device, elements), a view of it in old files."""
        if not (
            isinstance(described, tuple)
            and 5 <= len(described) <= 6
            and described[0] == "storage"
            and isinstance(described[1], _Global)
            and described[1].name in _STORAGES
            and isinstance(described[2], str)
            and isinstance(described[4], int)
            and described[4] >= 0
        ):
            raise RefusedError("refused, it describes a storage as torch.save does not")
        itemsize = _STORAGES[described[1].name]
        nbytes = described[4] * itemsize
        self.storages[described[2]] = max(nbytes, self.storages.get(described[2], 0))
        return _Made("storage", itemsize, nbytes)

    def _known(self, module: str, name: str) -> _Global:
        """The class or function of that name, as Python 3 calls it."""
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        full = f"{module}.{name}"
        if full in _NO_WEIGHTS:
            raise RefusedError(f"refused, it holds a {_NO_WEIGHTS[full]} tensor ({full}); weights are plain tensors")
        if full not in self.called and full not in _STORAGES and full not in _DTYPES:
            raise RefusedError(
                f"refused, it needs {plain(full)} and would run its code; a weights file holds tensors only. "
                "Where it is a whole model of your own, save its backbone.state_dict() instead"
            )
        return _Global(full)

    def _call(self, called: Any, arguments: Any) -> _Made:
        if not isinstance(called, _Global) or called.name not in self.called or not isinstance(arguments, tuple):
            raise RefusedError(f"refused, it calls {getattr(called, 'name', 'something')} as torch.save does not")
        if called.name in _CONTAINERS and tuple(getattr(a, "by", "") for a in arguments) not in (
            (),
            _CONTAINERS[called.name],
        ):
            raise RefusedError(f"refused, it calls {called.name} as torch.save does not")
        if called.name == _BYTES:
            if len(arguments) != 2 or arguments[1] != "latin1" or not isinstance(arguments[0], str):
                raise RefusedError(
                    f"refused, it needs {_BYTES} and would run its code; a weights file holds tensors only"
                )
            self.storages[f"bytes {len(self.storages)}"] = len(arguments[0])  # made anew at every call
        if arguments and called.name not in _CONTAINERS and _stand_in(called.name) is OrderedDict:
            raise RefusedError(f"refused, it calls {called.name} as torch.save does not")
        if called.name in _VIEWS:
            storage, offset, size, stride = arguments[:4]
            numbers = (offset, *size, *stride)
            if (
                len(arguments) != _VIEWS[called.name]
                or len(size) != len(stride)
                or not all(isinstance(n, int) and n >= 0 for n in numbers)
            ):
                raise RefusedError("refused, it describes a tensor as torch.save does not")
            last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
            # An untyped storage counts bytes: the elements' size, and the last word, is torch's own.
            if 0 not in size and (last + 1) * storage.itemsize > storage.nbytes:
                raise RefusedError(
                    f"refused, a tensor claims {last + 1} elements of a storage of {storage.nbytes} bytes"
                )
        return _Made(called.name)


def _stand_in(name: str) -> Callable[..., Any] | None:
    """What is made where a pickle makes an OrderedDict, or something that another thing takes the place of."""
    return OrderedDict if name == "collections.OrderedDict" else STAND_INS.get(name)


def _check_keys(keys: list[Any]) -> None:
    """Tuples of tuples that share their members take for ever to hash."""
    if any(isinstance(key, tuple) and any(isinstance(part, tuple) for part in key) for key in keys):
        raise RefusedError("refused, it has nested tuples as keys")
