"""`MVDET_NUM_THREADS`: all cores for PyTorch under ultralytics."""

import os
import subprocess
from collections.abc import Callable

import pytest

PROGRAM = """
import torch
from ultralytics import YOLO
from ultralytics.utils.torch_utils import select_device
YOLO("yolov8n.yaml")
select_device("cpu")
print("threads", torch.get_num_threads())
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_are_those_of_the_variable(python: Run, threads: int) -> None:
    done = python("-c", PROGRAM, MVDET_NUM_THREADS=str(threads))
    assert done.stdout.splitlines()[-1] == f"threads {threads}", done.stderr


@pytest.mark.slow
def test_without_it_ultralytics_decides(python: Run) -> None:
    done = python("-c", PROGRAM)
    assert done.stdout.splitlines()[-1] == f"threads {min(8, max(1, (os.cpu_count() or 1) - 1))}", done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("value", ["two", "0", "-1", "1.5"])
def test_what_is_no_number_of_threads_is_said_and_changes_nothing_else(python: Run, value: str) -> None:
    done = python("-c", PROGRAM.replace("yolov8n.yaml", "mvdet/cfg/yolov5-mobilevit-xxs.yaml"), MVDET_NUM_THREADS=value)
    assert done.returncode == 0, done.stderr
    assert f"MVDET_NUM_THREADS must be a whole number of threads, 1 or more, got '{value}'" in done.stderr
