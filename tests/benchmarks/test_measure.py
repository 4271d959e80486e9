import os
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from mvdet.benchmarks import measure
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


class Clock:
    """Stands for `time` in a process whose other threads spin until some moment; nothing else takes time."""

    def __init__(self, spinning_until: float) -> None:
        self.now = self.used = 0.0
        self.spinning_until = spinning_until

    def sleep(self, seconds: float) -> None:
        self.used += min(seconds, max(0.0, self.spinning_until - self.now))
        self.now += seconds

    def perf_counter(self) -> float:
        return self.now

    def process_time(self) -> float:
        return self.used


@pytest.mark.parametrize(("spinning", "waited"), [(0.0, 0.02), (0.3, 0.32), (10.0, 2.0)])
def test_spinning_threads_are_waited_for_but_not_for_ever(
    spinning: float, waited: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(spinning)
    monkeypatch.setattr(measure, "time", clock)
    wait_for_idle_threads()
    assert clock.now == pytest.approx(waited, abs=0.021)


def test_the_clock_counts_the_time_of_other_threads() -> None:
    """What the waiting rests on; a busy machine gives the thread less than all of a core, but something."""
    end = threading.Event()
    thread = threading.Thread(target=lambda: [None for _ in iter(end.is_set, True)])
    before = time.process_time()
    thread.start()
    time.sleep(0.2)
    end.set()
    thread.join()
    assert time.process_time() - before > 0.005


def allocate(mebibytes: int):
    """For a process of its own: touches that much memory, and ten times as much before it is measured."""
    before = b"x" * (10 * mebibytes * 2**20)
    return lambda: (b"x" * (mebibytes * 2**20), len(before))


def test_peak_memory_counts_what_the_call_allocates_and_no_more() -> None:
    peak = peak_memory(allocate, (64,))
    assert 0.9 < peak / (64 * 2**20) < 2  # not eleven times: some of what the interpreter does in the call is in it
