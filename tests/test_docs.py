"""Every command, flag, Python block, link and variable in the Markdown is as the code has it."""

import argparse
import ast
import contextlib
import importlib
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import mvdet

REPOSITORY = Path(__file__).parents[1]
PAGES = sorted([*(REPOSITORY / name for name in ("README.md", "cfg/README.md", "CONTRIBUTING.md"))])
PAGES += sorted((REPOSITORY / "docs").glob("*.md"))
LINKED = [*PAGES, REPOSITORY / "CHANGELOG.md", REPOSITORY / "weights" / "README.md"]
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
LONGEST_README = 135  # lines
NOT_RUN = re.compile(r"<!-- not run: (\S.*) -->")
VARIABLE = re.compile(r"\bMVDET_[A-Z_]*[A-Z]\b")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it is, its language, its text, and the line before it."""

    page: Path
    line: int
    language: str
    text: str
    before: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    lines = page.read_text().splitlines()
    start = None
    for number, line in enumerate(lines):
        if not line.startswith("```"):
            continue
        if start is None:
            start = number
        else:
            text = "\n".join(lines[start + 1 : number])
            yield Block(page, start + 1, lines[start].removeprefix("```"), text, lines[start - 1])
            start = None
    assert start is None, f"{page}: a block without an end"


def prose_of(page: Path) -> str:
    """The page without its blocks."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text())


def code_spans(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose_of(page))


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
RUN = [block for block in PYTHON if not NOT_RUN.fullmatch(block.before)]
COMMANDS = [
    pytest.param(line, id=f"{block}+{i}")
    for block in BLOCKS
    if block.language == "bash"
    for i, line in enumerate(block.text.splitlines())
]
COMMANDS += [
    pytest.param(span, id=f"{page.relative_to(REPOSITORY)}-{i}")
    for page in PAGES
    for i, span in enumerate(code_spans(page))
    if re.match(r"(MVDET_\w+=\S+ )?(yolo|python|pip) ", span)
]


class Parsed(BaseException):
    """A script has read its command line, and would begin."""


class WrongCommandError(Exception):
    """A command of the documentation that would be refused."""


def parse(script: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> list[argparse.ArgumentParser]:
    """Run a script until it has read its command line. Returns the parsers that did."""
    file = REPOSITORY / script
    if not file.is_file():
        raise WrongCommandError(f"no script {script}")
    seen: list[argparse.ArgumentParser] = []
    parse_args, parse_known_args = argparse.ArgumentParser.parse_args, argparse.ArgumentParser.parse_known_args

    def stop(*_: object, **__: object) -> None:
        raise Parsed

    def known(self, *args, **kwargs):
        seen.append(self)
        return parse_known_args(self, *args, **kwargs)

    def all_of_them(self, *args, **kwargs):
        namespace = parse_args(self, *args, **kwargs)
        if file.name == "benchmark.py" and (unknown := set(namespace.parts) - set(sys.modules["__main__"].PARTS)):
            raise WrongCommandError(f"no parts {unknown}")
        raise Parsed

    said = io.StringIO()
    with monkeypatch.context() as patch, contextlib.redirect_stderr(said):
        patch.chdir(REPOSITORY)
        patch.setattr(sys, "argv", [script, *arguments])
        patch.setattr(argparse.ArgumentParser, "parse_known_args", known)
        patch.setattr(argparse.ArgumentParser, "parse_args", all_of_them)
        # These parse by themselves, and then call, the first of them in the midst of it:
        patch.setattr("mvdet.training.run.starting_point", stop)
        patch.setattr("mvdet.training.run.train", stop)
        patch.setattr("mvdet.training.sampler_comparison.compare_samplers", stop)
        try:
            runpy.run_path(str(file), run_name="__main__")
        except Parsed:
            return seen
        except SystemExit as end:
            raise WrongCommandError(f"{end} {said.getvalue()}") from None
    raise AssertionError(f"{script} has run")


def check_python(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    parse(words[0], words[1:], monkeypatch)


def check_yolo(words: list[str], _: pytest.MonkeyPatch) -> None:
    from ultralytics.cfg import DEFAULT_CFG_DICT, MODES, TASKS, get_cfg, parse_key_value_pair

    settings = {}
    for word in words:
        if "=" in word:
            key, value = parse_key_value_pair(word)
            if key not in DEFAULT_CFG_DICT:
                raise WrongCommandError(f"yolo has no argument {key}")
            settings[key] = value
        elif word not in {*MODES, *TASKS, "resume"}:
            raise WrongCommandError(f"yolo has no {word}")
    try:
        get_cfg(overrides=dict(settings))  # values of the right type
    except (TypeError, ValueError) as error:
        raise WrongCommandError(str(error)) from None
    for key in ("model", "data"):
        check_definition(str(settings.get(key, "")))


def check_definition(name: str) -> None:
    """A file in `cfg/`, which a scale letter after the YOLO version may be in the name of."""
    name = name.removeprefix("mvdet/")
    stock = re.sub(r"(yolov?\d+)[nslmx](-)", r"\1\2", name)
    if name.startswith("cfg/") and not any((REPOSITORY / one).is_file() for one in (name, stock)):
        raise WrongCommandError(f"no file {name}")


def check_pip(words: list[str], _: pytest.MonkeyPatch) -> None:
    for word in words[1:]:
        found = re.fullmatch(r"\.(?:\[([\w,]+)\])?", word)
        if word != "-e" and not found:
            raise WrongCommandError(f"pip install {word}")
        extras = found[1].split(",") if found and found[1] else []
        if unknown := set(extras) - set(PYPROJECT["project"]["optional-dependencies"]):
            raise WrongCommandError(f"no extra {unknown}")


def check_tool(words: list[str], _: pytest.MonkeyPatch) -> None:
    for word in words:
        if "/" in word and not (REPOSITORY / word).exists():
            raise WrongCommandError(f"no file {word}")


PROGRAMS = {"python": check_python, "yolo": check_yolo, "pip": check_pip}
PROGRAMS |= dict.fromkeys(("bash", "mkdocs", "mypy", "pre-commit", "pytest", "ruff"), check_tool)


def check_command(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in line.split(" && "):
        words = shlex.split(command.replace("$PWD", str(REPOSITORY)), comments=True)
        while words and re.match(r"[A-Z_]+=", words[0]):
            words.pop(0)
        if words and words[0] not in PROGRAMS:
            raise WrongCommandError(f"no program {words[0]} is known here")
        for word in words:
            for file in re.findall(r"(?<![\w/.])(?:mvdet/)?(?:cfg|scripts)/[\w./-]+", word):
                check_definition(file) if file.endswith(".yaml") else check_tool([file], monkeypatch)
        if words:
            PROGRAMS[words[0]](words[1:], monkeypatch)


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check_command(line, monkeypatch)


@pytest.mark.parametrize(
    "line",
    [
        "python scripts/train_ssdlite.py --no-such-flag 1",
        "python scripts/train_ssdlite.py --data-format imagenet",
        "python scripts/train_classifier.py --config cfg/recipes/ssdlite_coco.yaml",
        "python scripts/evaluate.py --model best.pt",
        "python scripts/benchmark.py speed",
        "python scripts/weights.py fetch mobilevit_s",
        "python scripts/no_such_script.py",
        "yolo train modle=cfg/yolov5-mobilevit.yaml",
        "yolo train model=cfg/yolov5-mobilevit-m.yaml",
        "yolo train model=cfg/yolov5-mobilevit.yaml epochs=many",
        "yolo trian model=cfg/yolov5-mobilevit.yaml",
        "pip install '.[tests]'",
        "pip install mvdet",
        "bash .ci/walk",
        "mvdet train",
    ],
)
def test_a_wrong_command_is_found(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongCommandError):
        check_command(line, monkeypatch)


def test_flags_in_the_text_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {"evaluate": ["--model", "m", "--output", "o"], "predict": ["s", "--model", "m", "--output", "o"]}
    needed |= {"graft": ["m", "b", "o"], "weights": ["list"]}
    needed |= {"check_data": ["f", "--task", "detection", "--data-format", "coco"]}
    flags: set[str] = set()
    for script in sorted((REPOSITORY / "scripts").glob("*.py")):
        for parser in parse(f"scripts/{script.name}", needed.get(script.stem, []), monkeypatch):
            flags |= set(parser._option_string_actions)
    for parser in parse("scripts/weights.py", ["convert", "a", "b"], monkeypatch):
        flags |= set(parser._option_string_actions)
    told = {flag for page in PAGES for span in code_spans(page) for flag in re.findall(r"^--[\w-]+", span)}
    assert len(told) > 10
    assert told <= flags


# Runs the blocks of a json file, each in a namespace of its own, and prints what went wrong with each.
RUNNER = """
import io, json, sys, traceback, contextlib, torch
results = []
for text in json.load(open(sys.argv[1])):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(text, "block", "exec"), {"__name__": "block"})
        results.append("")
    except Exception:
        results.append(traceback.format_exc())
print("RESULTS" + json.dumps(results))
"""


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each block that is run ends with, by its place; all in one process, in an empty folder, offline."""
    folder = tmp_path_factory.mktemp("blocks")
    wrong = "import mvdet; mvdet.create_backbone('mobilevit_xxl')"
    (folder / "blocks.json").write_text(json.dumps([*(block.text for block in RUN), wrong]))
    offline = {"HF_HUB_OFFLINE": "1", "YOLO_OFFLINE": "1", "YOLO_CONFIG_DIR": str(folder), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, "blocks.json"],
        cwd=folder,
        env=os.environ | offline | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "RESULTS" in done.stdout, done.stderr
    results = json.loads(done.stdout.rpartition("RESULTS")[2])
    return dict(zip([*map(str, RUN), "wrong"], results, strict=True))


@pytest.mark.parametrize("block", RUN, ids=str)
def test_python_block_runs(block: Block, failures: dict[str, str]) -> None:
    assert not failures[str(block)], failures[str(block)]


def test_a_wrong_block_is_found(failures: dict[str, str]) -> None:
    assert "unknown" in failures["wrong"]


@pytest.mark.parametrize("block", [block for block in PYTHON if block not in RUN], ids=str)
def test_names_of_a_block_that_is_not_run(block: Block) -> None:
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "mvdet":
            assert all(hasattr(importlib.import_module(str(node.module)), one.name) for one in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mvdet":
            assert hasattr(mvdet, node.attr)


def test_blocks_have_a_language_that_is_checked() -> None:
    assert {block.language for block in BLOCKS} == {"bash", "python", "yaml"}
    assert len(RUN) >= 8
    for block in BLOCKS:
        if block.language == "yaml":
            yaml.safe_load(block.text)
        elif block.before.startswith("<!-- not run"):
            assert NOT_RUN.fullmatch(block.before), f"{block}: says no reason"
            assert block.language == "python"


def anchors_of(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"(?m)^#+ (.*)$", prose_of(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> list[str]:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        target, _, anchor = "".join(link).partition("#")
        if target.startswith(("https://", "http://")):
            continue
        file = (page.parent / target).resolve() if target else page
        if not file.is_file() or REPOSITORY not in file.parents or (anchor and anchor not in anchors_of(file)):
            broken.append("".join(link))
    return broken


@pytest.mark.parametrize("page", LINKED, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links(page: Path) -> None:
    assert not broken_links(page, prose_of(page))


def test_broken_links_are_found() -> None:
    text = "[a](docs/nowhere.md) [b](docs/python.md#nothing) ![c](.github/no.png) [d](docs/python.md#what-is-public)"
    assert broken_links(REPOSITORY / "README.md", text) == [
        "docs/nowhere.md", "docs/python.md#nothing", ".github/no.png",
    ]  # fmt: skip


def test_paths_in_the_text_exist() -> None:
    found = {
        file
        for page in PAGES
        for span in code_spans(page)
        for file in re.findall(r"^(?:mvdet|scripts|tests|cfg)/[\w./-]+\.(?:py|yaml|md)$", span)
    }
    assert len(found) > 5
    for file in found:
        check_definition(file) if file.startswith(("cfg/", "mvdet/cfg/")) else check_tool([file], None)


def test_every_page_is_linked_and_in_the_site() -> None:
    site = yaml.safe_load((REPOSITORY / "docs" / "mkdocs.yml").read_text())
    in_site = {page for entry in site["nav"] for page in entry.values()}
    assert in_site == {str(page.relative_to(REPOSITORY)) for page in LINKED}
    readme = (REPOSITORY / "README.md").read_text()
    for page in (REPOSITORY / "docs").glob("*.md"):
        assert f"(docs/{page.name}" in readme


def test_readme_is_short() -> None:
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= LONGEST_README


def test_ci_finds_its_commands_in_the_readme() -> None:
    script = (REPOSITORY / ".ci" / "run").read_text()
    function = re.search(r"(?ms)^readme_command\(\) \{.*?^\}$", script)[0]
    markers = re.findall(r"<!-- ((?!not run).*) -->", (REPOSITORY / "README.md").read_text())
    assert markers == ["main job", "tests", "quick start: yolo", "quick start: ssdlite", "quick start: python"]
    by_marker = {block.before: block.text for block in BLOCKS if block.page.name == "README.md"}
    for marker in markers:
        done = subprocess.run(
            ["bash", "-euc", f"{function}\nreadme_command '{marker}'"], cwd=REPOSITORY, capture_output=True, text=True
        )
        assert done.stdout.strip() == by_marker[f"<!-- {marker} -->"].strip() != ""
    assert re.search(r"\bepochs=\d+", by_marker["<!-- main job -->"])  # CI makes two of them


def test_environment_variables() -> None:
    """Those of the code and those of docs/environment.md's table are the same, and no page names another."""
    sources = [*(REPOSITORY / "mvdet").rglob("*.py"), *(REPOSITORY / "scripts").glob("*.py")]
    used = {name for file in sources for name in VARIABLE.findall(file.read_text())}
    table = re.findall(r"(?m)^\| `(MVDET_[A-Z_]+)` \|", (REPOSITORY / "docs" / "environment.md").read_text())
    assert sorted(table) == sorted(used)
    told = {name for page in PAGES for name in VARIABLE.findall(page.read_text())}
    assert told <= used


def test_public_names() -> None:
    text = (REPOSITORY / "docs" / "python.md").read_text().partition("## What is public")[2]
    rows = dict(re.findall(r"(?m)^\| `(mvdet[\w.]*)` \| (.*) \|$", text))
    assert len(rows) > 5
    for name, cell in rows.items():
        module = importlib.import_module(name) if name != "mvdet.torchvision" else None  # it would register here
        names = re.findall(r"`(\w+)`", cell)
        if module is not None:
            assert len(names) == len(set(names))
            assert set(names) == set(module.__all__) - {"__version__"}
            assert all(hasattr(module, one) for one in names)


def test_recipes_and_definitions_are_listed() -> None:
    text = (REPOSITORY / "cfg" / "README.md").read_text().partition("## Recipes")[2]
    listed = {name for row in re.findall(r"(?m)^\| (`.*?) \|", text) for name in re.findall(r"`(\w+)`", row)}
    assert listed == {file.stem for file in (REPOSITORY / "cfg" / "recipes").glob("*.yaml")}
    models = (REPOSITORY / "README.md").read_text().partition("## Models")[2]
    stems = {file.stem for file in (REPOSITORY / "cfg").glob("*mobilevit*.yaml")}
    named = {name for name in re.findall(r"`([\w-]+)`", models) if re.match(r"(yolov?\d|ssdlite|deeplabv3)\w*-", name)}
    assert len(named) > 8
    assert named <= stems


def test_version_is_in_one_place() -> None:
    assert "version" not in PYPROJECT["project"]
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "mvdet/__init__.py"
    assert f"## [{mvdet.__version__}]" in (REPOSITORY / "CHANGELOG.md").read_text()
    assert "\nversion:" not in (REPOSITORY / "CITATION.cff").read_text()
    assert yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())["cff-version"] == "1.2.0"


def test_source_distribution_holds_what_the_tests_read() -> None:
    included = set(PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    assert {"docs", "CONTRIBUTING.md", "CHANGELOG.md", "CITATION.cff", ".ci", ".github"} <= included
    assert all((REPOSITORY / name).exists() for name in included)
