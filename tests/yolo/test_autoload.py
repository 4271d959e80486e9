"""Installed means registered: in every process, without an import of ours, and at no cost to others."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
STARTUP = REPOSITORY / "mvdet" / "_startup"
BUILD = "from ultralytics import YOLO; print(type(YOLO('{model}').model.model[0]).__module__)"
BUILD_OURS = BUILD.format(model=REPOSITORY / "cfg" / "yolov5-mobilevit-xxs.yaml")


@pytest.fixture(scope="module", autouse=True)
def _installed(python) -> None:
    if python("-c", "import sys; sys.exit('_mvdet_autoload' not in sys.modules)").returncode:
        pytest.skip("mvdet is not installed: no .pth file loads it at interpreter start")


def test_a_process_that_never_imports_mvdet_builds_its_models(python) -> None:
    result = python("-c", BUILD_OURS)
    assert result.stdout.strip().endswith("mvdet.yolo.modules"), result.stderr


def test_interpreter_start_loads_only_the_hook(python) -> None:
    code = "import sys, json; print(json.dumps(sorted(sys.modules)))"
    with_hook = set(json.loads(python("-c", code).stdout))
    without = set(json.loads(python("-c", code, MVDET_AUTOLOAD="0").stdout))
    assert with_hook == without
    assert {m for m in with_hook if "mvdet" in m} == {"_mvdet_autoload"}
    assert not with_hook & {"torch", "ultralytics", "typing", "numpy"}


def test_building_a_backbone_needs_no_ultralytics(python) -> None:
    code = "import sys, mvdet; mvdet.create_backbone('mobilevit_xxs'); print(*sys.modules)"
    loaded = {name.split(".")[0] for name in python("-c", code).stdout.split()}
    assert "torch" in loaded
    assert not loaded & {"ultralytics", "lightning", "pytorch_lightning", "albumentations", "timm", "transformers"}


def test_it_can_be_switched_off_and_registered_by_hand(python) -> None:
    refused = python("-c", BUILD_OURS, MVDET_AUTOLOAD="0")
    assert "KeyError: 'MobileViT'" in refused.stderr
    by_hand = python("-c", f"import mvdet.yolo as m; m.register(); m.register(); {BUILD_OURS}", MVDET_AUTOLOAD="0")
    assert by_hand.stdout.strip().endswith("mvdet.yolo.modules"), by_hand.stderr


def test_registering_twice_patches_once(python) -> None:
    code = """
        from ultralytics.nn import tasks
        import mvdet.yolo
        before = tasks.parse_model, tasks.BaseModel.fuse, tasks.BaseModel.__setstate__
        mvdet.yolo.register()
        print(before == (tasks.parse_model, tasks.BaseModel.fuse, tasks.BaseModel.__setstate__), before[0].__wrapped__)
    """
    result = python("-c", textwrap.dedent(code))
    assert result.stdout.startswith("True <function parse_model"), result.stderr


def test_the_hook_leaves_the_module_as_it_was_and_follows_a_reload(python) -> None:
    code = """
        import importlib, inspect
        import ultralytics.nn.tasks as tasks
        assert tasks.__spec__.name == tasks.__name__ and tasks.__spec__.loader is tasks.__loader__
        assert "def parse_model" in inspect.getsource(tasks)
        patched = tasks.parse_model
        importlib.reload(tasks)
        assert tasks.parse_model is not patched and tasks.parse_model.is_mvdets and tasks.BaseModel.fuse.is_mvdets
        print(tasks.MobileViT.__name__)
    """
    result = python("-c", textwrap.dedent(code))
    assert result.stdout.strip() == "MobileViT", result.stderr


def test_an_import_that_failed_is_tried_again(python, tmp_path: Path) -> None:
    code = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from pathlib import Path
        broken = Path({str(tmp_path)!r}, "cv2.py")
        broken.write_text("raise ImportError('libGL.so.1')")
        try:
            import ultralytics.nn.tasks
        except ImportError:
            broken.unlink()
            for name in [n for n in sys.modules if n.startswith(("ultralytics", "cv2"))]:
                del sys.modules[name]
            sys.path_importer_cache.clear()
            import ultralytics.nn.tasks
            print(ultralytics.nn.tasks.MobileViT.__name__)
    """
    result = python("-c", textwrap.dedent(code), PYTHONDONTWRITEBYTECODE="1")
    assert result.stdout.strip() == "MobileViT", result.stderr


def test_a_script_finds_its_own_mvdet_first(python, tmp_path: Path) -> None:
    """Whoever works in a clone must get the clone, whatever is installed."""
    (tmp_path / "mvdet").mkdir()
    (tmp_path / "mvdet" / "__init__.py").write_text("here = True")
    assert python("-c", "import mvdet; print(mvdet.here)", cwd=tmp_path).stdout == "True\n"


def test_a_failing_registration_warns_and_ultralytics_works(python, tmp_path: Path) -> None:
    """A broken mvdet must not take ultralytics with it."""
    package = tmp_path / "mvdet"
    (package / "yolo").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "yolo" / "__init__.py").write_text("raise RuntimeError('half an installation')")
    result = python("-c", BUILD.format(model="yolov5n.yaml"), PYTHONPATH=str(tmp_path))
    assert result.stdout.strip().endswith("ultralytics.nn.modules.conv"), result.stderr
    assert "mvdet could not register with ultralytics.nn.tasks (RuntimeError: half an installation)" in result.stderr


def test_the_pth_line_survives_a_missing_package(tmp_path: Path) -> None:
    """What is left when someone deletes the package by hand: silence."""
    line = (STARTUP / "mvdet.pth").read_text()
    assert line.count("\n") == 1
    assert line.startswith("import ")  # only such lines of a .pth file are executed
    result = subprocess.run(
        [sys.executable, "-S", "-c", line],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_start_file_names_the_same_function() -> None:
    """PEP 829: from Python 3.15 on mvdet.start takes the place of mvdet.pth."""
    module, _, function = (STARTUP / "mvdet.start").read_text().strip().partition(":")
    line = (STARTUP / "mvdet.pth").read_text()
    assert f"from {module} import {function}" in line
    assert f"{function}()" in line
