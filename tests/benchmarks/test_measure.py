import os
import threading
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from mvdet.benchmarks.measure import (
    PairedTimes,
    peak_memory,
    time_in_pairs,
    time_in_processes,
    time_in_turn,
    wait_for_idle_threads,
)


def test_ratio_is_the_median_of_the_pairs() -> None:
    times = PairedTimes((1.0, 2.0, 4.0), (2.0, 2.0, 40.0))
    assert times.ratios == [2.0, 1.0, 10.0]
    assert times.ratio == 2.0
    assert times.spread == (1.5, 6.0)


def test_calls_alternate() -> None:
    calls: list[str] = []
    times = time_in_pairs(lambda: calls.append("a"), lambda: (calls.append("b"), time.sleep(0.01)), repeats=3, warmup=1)
    assert calls == ["a", "b"] * 4
    assert len(times.first) == len(times.second) == 3
    assert min(times.second) >= 0.01


def test_a_single_pair_has_no_spread() -> None:
    with pytest.raises(ValueError, match="repeats must be at least 2, got 1"):
        time_in_pairs(int, int, repeats=1)


def test_rounds_end_with_the_seconds_but_not_before_five() -> None:
    first, second = time_in_turn([lambda: time.sleep(0.01), int], repeats=50, warmup=0, seconds=0.02)
    assert len(first) == len(second) == 5
    assert len(time_in_turn([int], repeats=3, seconds=0)[0]) == 3


def prepare(file: Path, seconds: float):
    """For a process of its own: notes which one, and sleeps."""
    return partial(note_and_sleep, file, seconds)


def note_and_sleep(file: Path, seconds: float) -> None:
    with file.open("a") as notes:
        notes.write(f"{seconds} {os.getpid()}\n")
    time.sleep(seconds)


def test_functions_in_processes_of_their_own_alternate(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    arguments = [(file, 0.01), (file, 0.05)]
    short, long = time_in_processes(prepare, arguments, processes=2, repeats=3, warmup=1)
    assert len(short) == len(long) == 2 * 3
    assert min(long) >= 0.05
    assert min(short) >= 0.01
    lines = [line.split() for line in file.read_text().splitlines()]
    assert [seconds for seconds, _ in lines] == ["0.01", "0.05"] * 2 * 4
    assert len({process for _, process in lines}) == 4
    assert len({process for _, process in lines[:8]}) == 2


def test_a_spinning_thread_is_waited_for() -> None:
    end = time.perf_counter() + 0.3

    def spin() -> None:
        while time.perf_counter() < end:
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    wait_for_idle_threads()
    assert not thread.is_alive()


def allocate(mebibytes: int):
    """For a process of its own: touches that much memory."""
    return lambda: torch.ones(mebibytes * 2**20, dtype=torch.uint8)


def test_peak_memory_counts_what_the_call_allocates() -> None:
    peak = peak_memory(allocate, (200,))
    assert 190 * 2**20 < peak < 230 * 2**20
