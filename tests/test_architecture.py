"""The layout of the package as the design has it: which room may import which, no circles, files of a readable size.

All imports count, wherever they are written: at the top of a module, inside a function, under `TYPE_CHECKING`.
"""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "mvdet"

LONGEST, SHORTEST = 300, 11  # lines of a module; an `__init__.py` may be shorter

BASE = frozenset({"class_names", "resources", "tasks", "wording"})
PARTS = BASE | {"backbones", "heads", "detection", "checkpoints"}
ENGINES = PARTS | {"models", "data"}
TOP = ENGINES | {"evaluation", "export", "training"}

ARROWS: dict[str, frozenset[str]] = {
    "wording": frozenset(),
    "resources": frozenset({"wording"}),
    "class_names": frozenset({"wording"}),
    "tasks": frozenset({"class_names", "resources", "wording"}),
    "backbones": frozenset({"wording"}),
    "heads": BASE | {"backbones"},
    "detection": BASE | {"backbones"},
    "checkpoints": BASE | {"backbones"},
    "data": BASE,
    "models": PARTS,
    "evaluation": ENGINES,
    "export": ENGINES,
    "training": ENGINES | {"evaluation"},  # validation between epochs
    "benchmarks": TOP,
    "yolo": TOP | {"benchmarks"},
    "torchvision": PARTS | {"models", "mvdet"},
    "mvdet": PARTS | {"models"},  # the package's own __init__.py: its public names
    "_startup": frozenset({"yolo"}),  # once ultralytics has been imported
    "scripts": TOP | {"benchmarks", "yolo", "torchvision", "mvdet"},
}
"""Room -> the other rooms that it may import. A room is a folder of `mvdet`, or a file that lies in `mvdet` itself."""

ULTRALYTICS = "yolo"
"""The only room that may import ultralytics, which is AGPL-3.0: the rest stays permissively usable."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import: the file and line that it is written in, the module there, and the module that it names."""

    file: str
    line: int
    importer: str
    imported: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.importer} -> {self.imported}"


def name_of(file: Path, root: Path) -> str:
    """`mvdet/data/io/voc.py` -> "mvdet.data.io.voc"; an `__init__.py` has its folder's name."""
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """ "mvdet.data.io.voc" -> "data", "mvdet.wording" -> "wording", "scripts.predict" -> "scripts"."""
    first, *rest = module.split(".")
    return rest[0] if first == "mvdet" and rest else first


def imports_in(source: str, file: str, module: str, known: frozenset[str], *, is_package: bool) -> Iterator[Import]:
    """Every import of a source; `from package import module` names the module where `known` has it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: None if is_package else -1]
            parents = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
            names = sorted({name if name in known else base for name in names})
        else:
            continue
        for name in names:
            yield Import(file, node.lineno, module, name)


@cache
def sources() -> dict[str, Path]:
    """Module name -> file, of the package and the scripts."""
    files = [*PACKAGE.rglob("*.py"), *(REPOSITORY / "scripts").glob("*.py")]
    return {name_of(file, REPOSITORY): file for file in sorted(files)}


@cache
def all_imports() -> tuple[Import, ...]:
    known = frozenset(sources())
    return tuple(
        found
        for module, file in sources().items()
        for found in imports_in(
            file.read_text(encoding="utf-8"),
            str(file.relative_to(REPOSITORY)),
            module,
            known,
            is_package=file.name == "__init__.py",
        )
    )


def wrong_arrows(imports: tuple[Import, ...]) -> list[str]:
    """Imports between rooms that the table does not have, and rooms that it does not know."""
    wrong = []
    for one in imports:
        if one.imported.split(".")[0] != "mvdet":
            continue
        start, end = room_of(one.importer), room_of(one.imported)
        if start != end and end not in ARROWS.get(start, frozenset()):
            wrong.append(f"{one} ({start} must not import {end})")
    return wrong


def circles(imports: tuple[Import, ...]) -> list[list[str]]:
    """Modules that import each other, however many steps it takes: strongly connected components (Tarjan, 1972)."""
    graph: dict[str, set[str]] = {}
    for one in imports:
        graph.setdefault(one.importer, set()).add(one.imported)
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for target in sorted(graph.get(module, ())):
            if target not in index:
                visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], index[target])
        if low[module] == index[module]:
            place = stack.index(module)
            component = sorted(stack[place:])
            del stack[place:]
            if len(component) > 1 or module in graph.get(module, ()):
                found.append(component)

    for module in sorted(graph):
        if module not in index:
            visit(module)
    return found


def unexplained_imports(source: str) -> list[int]:
    """Lines of imports inside functions without a comment that says why, on that line or above the group of imports."""
    lines = source.splitlines()
    nodes = [
        node
        for function in ast.walk(ast.parse(source))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    explained: set[int] = set()  # last lines of imports that a comment is for
    unexplained = []
    for node in sorted({node.lineno: node for node in nodes}.values(), key=lambda node: node.lineno):
        last = node.end_lineno or node.lineno
        before = node.lineno - 1
        written = [lines[number - 1] for number in range(node.lineno, last + 1)]
        commented = any(_says_something(line) for line in written)
        if commented or before in explained or lines[before - 1].lstrip().startswith("# "):
            explained.add(last)
        else:
            unexplained.append(node.lineno)
    return unexplained


def _says_something(line: str) -> bool:
    """Whether a line ends with a comment that is not only an instruction to a linter."""
    _, found, comment = line.partition("# ")
    return bool(found) and not comment.startswith(("noqa", "type:"))


def private_torch(source: str) -> list[str]:
    """Uses of what is no contract of PyTorch's: its registered operators (`torch.ops`), `torch._C` and their like."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = [(node.lineno, ast.unparse(node))]
        elif isinstance(node, ast.Import):
            names = [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
        else:
            continue
        for line, name in names:
            first, *rest = name.split(".")
            if first == "torch" and rest and (rest[0] == "ops" or rest[0].startswith("_")):
                found.append(f"{line}: {name}")
    return found


def listed(found: list[str]) -> str:
    """One line for each, which pytest shows whole."""
    return "\n".join(["", *found])


def test_arrows_point_down() -> None:
    found = wrong_arrows(all_imports())
    assert not found, listed(found)


def test_every_room_is_in_the_table() -> None:
    assert {room_of(module) for module in sources()} <= ARROWS.keys()


def test_no_circles() -> None:
    found = [" <-> ".join(circle) for circle in circles(all_imports())]
    assert not found, listed(found)


def test_only_one_room_imports_ultralytics() -> None:
    strays = [
        str(one)
        for one in all_imports()
        if one.imported.split(".")[0] == "ultralytics" and room_of(one.importer) != ULTRALYTICS
    ]
    assert not strays, listed(strays)


def test_backbones_are_public_pytorch_only() -> None:
    found = [
        f"{file.relative_to(REPOSITORY)}:{use}"
        for module, file in sources().items()
        if room_of(module) == "backbones"
        for use in private_torch(file.read_text(encoding="utf-8"))
    ]
    assert not found, listed(found)


def test_files_are_of_a_readable_size() -> None:
    found = []
    for file in sources().values():
        length = len(file.read_text(encoding="utf-8").splitlines())
        too_short = length < SHORTEST and file.name != "__init__.py"
        if file.is_relative_to(PACKAGE) and (length > LONGEST or too_short):
            found.append(f"{file.relative_to(REPOSITORY)}: {length} lines")
    assert not found, listed(found)


def test_imports_inside_functions_say_why() -> None:
    found = [
        f"{file.relative_to(REPOSITORY)}:{line}"
        for file in sources().values()
        for line in unexplained_imports(file.read_text(encoding="utf-8"))
    ]
    assert not found, listed(found)


class TestTheseTestsCanFail:
    """The same functions on sources that break the rules."""

    def test_imports_are_found_wherever_they_are(self) -> None:
        source = (
            "import mvdet.wording\n"
            "from mvdet.backbones import layers, VARIANTS\n"
            "from . import voc\n"
            "from ..datasets.coco import CocoDetection\n"
            "if TYPE_CHECKING:\n"
            "    from mvdet.models.ssdlite import SSDLite\n"
            "def f():\n"
            "    from mvdet import yolo\n"
        )
        known = frozenset({"mvdet.backbones.layers", "mvdet.data.io.voc", "mvdet.yolo"})
        found = list(imports_in(source, "a.py", "mvdet.data.io.masks", known, is_package=False))
        assert [(one.line, one.imported) for one in sorted(found, key=lambda one: (one.line, one.imported))] == [
            (1, "mvdet.wording"),
            (2, "mvdet.backbones"),
            (2, "mvdet.backbones.layers"),
            (3, "mvdet.data.io.voc"),
            (4, "mvdet.data.datasets.coco"),
            (6, "mvdet.models.ssdlite"),
            (8, "mvdet.yolo"),
        ]

    def test_a_relative_import_of_a_package(self) -> None:
        (found,) = imports_in("from .io import voc", "a.py", "mvdet.data", frozenset(), is_package=True)
        assert found.imported == "mvdet.data.io"

    def test_an_arrow_that_points_up_is_named(self) -> None:
        one = Import("mvdet/backbones/layers.py", 7, "mvdet.backbones.layers", "mvdet.models.ssdlite")
        assert wrong_arrows((one,)) == [
            "mvdet/backbones/layers.py:7: mvdet.backbones.layers -> mvdet.models.ssdlite "
            "(backbones must not import models)"
        ]

    def test_a_new_room_is_refused(self) -> None:
        one = Import("mvdet/x.py", 1, "mvdet.x", "mvdet.wording")
        assert wrong_arrows((one,)) == ["mvdet/x.py:1: mvdet.x -> mvdet.wording (x must not import wording)"]

    def test_circles_of_any_length_are_found(self) -> None:
        arrows = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "d"), ("e", "a")]
        assert circles(tuple(Import("f", 1, start, end) for start, end in arrows)) == [["d"], ["a", "b", "c"]]

    def test_an_import_in_a_function_needs_a_comment(self) -> None:
        source = (
            "def f():\n"
            "    import a\n"
            "    import b  # heavy\n"
            "    import c\n"
            "    x = 1\n"
            "    # heavy\n"
            "    from d import (\n"
            "        e,\n"
            "    )\n"
            "    import g\n"
            "    x = 2\n"
            "    import h  # noqa: F401\n"
        )
        assert unexplained_imports(source) == [2, 12]

    @pytest.mark.parametrize(
        ("source", "private"),
        [
            ("torch.ops.mkldnn._linear_pointwise(x)", True),
            ("torch._C._set_mkldnn_enabled(False)", True),
            ("from torch import ops", True),
            ("import torch._dynamo", True),
            ("torch.nn.functional.conv2d(x)", False),
            ("from torchvision import ops", False),
        ],
    )
    def test_private_torch_is_seen(self, source: str, private: bool) -> None:
        assert bool(private_torch(source)) == private


HEAVY = {"torch", "torchvision", "ultralytics", "lightning", "pytorch_lightning", "albumentations", "cv2", "numpy"}

STATE = """
import json, os, sys

def state():
    return [list(map(repr, sys.meta_path)), list(map(repr, sys.path_hooks)), dict(os.environ), list(sys.path)]

before = state()
import {module}
print(json.dumps([before == state(), sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""


@pytest.fixture(scope="module")
def imported() -> Callable[[str], tuple[bool, set[str]]]:
    """Imports a module in a new process: whether that left the process as it was, and the packages that came with it.

    Without site-packages' `.pth` files acting on it, as `MVDET_AUTOLOAD=0` has it.
    """

    def run(module: str) -> tuple[bool, set[str]]:
        path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = os.environ | {"MVDET_AUTOLOAD": "0", "PYTHONPATH": path}
        command = [sys.executable, "-c", STATE.format(module=module)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr
        unchanged, packages = json.loads(result.stdout)
        return unchanged, set(packages)

    return run


def test_import_mvdet_is_cheap_and_changes_nothing(imported: Callable[[str], tuple[bool, set[str]]]) -> None:
    unchanged, packages = imported("mvdet")
    assert unchanged
    assert not packages & HEAVY


def test_a_backbone_needs_torch_alone(imported: Callable[[str], tuple[bool, set[str]]]) -> None:
    _, packages = imported("mvdet.models.backbone")
    assert "torch" in packages
    assert not packages & (HEAVY - {"torch", "numpy"})
