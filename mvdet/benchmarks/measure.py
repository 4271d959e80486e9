"""Time and memory, measured so that a busy machine does not decide the result."""

import math
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import Any

_FEWEST_ROUNDS = 5
_LOOK = 0.02  # seconds; several of the steps that the system counts threads' time in
_LONGEST_PAUSE = 2.0  # seconds
_PROCESS_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, slots=True)
class PairedTimes:
    """Two functions timed in turn.

    Attributes:
        first: seconds of every call of the first function.
        second: seconds of every call of the second function.
    """

    first: tuple[float, ...]
    second: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """How many times as long the second function took, pair by pair."""
        return [b / a for a, b in zip(self.first, self.second, strict=True)]

    @property
    def ratio(self) -> float:
        """Median of the ratios: above 1, the first function is faster."""
        return median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """First and third quartile of the ratios."""
        low, _, high = quantiles(self.ratios, n=4, method="inclusive")
        return low, high

    @property
    def milliseconds(self) -> tuple[float, float]:
        """Median time of each function's calls."""
        return median(self.first) * 1e3, median(self.second) * 1e3


def time_in_pairs(
    first: Callable[[], Any], second: Callable[[], Any], *, repeats: int = 20, warmup: int = 3
) -> PairedTimes:
    """`time_in_turn` of two functions.

    Raises:
        ValueError: if `repeats` is below 2.
    """
    return PairedTimes(*time_in_turn([first, second], repeats=repeats, warmup=warmup))


def time_in_turn(
    functions: Sequence[Callable[[], Any]], *, repeats: int = 20, warmup: int = 3, seconds: float = math.inf
) -> list[tuple[float, ...]]:
    """Call functions in turn and time each call: A B C A B C ..., so that a drift of the machine meets all.

    Args:
        functions: what is timed; called without arguments.
        repeats: counted rounds, 2 or more.
        warmup: rounds before those, which are not counted.
        seconds: time after which no round begins, but five are counted anyway (or `repeats`, if fewer).

    Returns:
        Seconds of every call of each function.

    Raises:
        ValueError: if `repeats` is below 2.
    """
    return _in_turn([partial(_seconds_of, function) for function in functions], repeats, warmup, seconds)


def time_in_processes(
    prepare: Callable[..., Callable[[], Any]],
    arguments: Sequence[Sequence[Any]],
    *,
    processes: int = 3,
    repeats: int = 20,
    warmup: int = 3,
    seconds: float = math.inf,
) -> list[tuple[float, ...]]:
    """Time functions as `time_in_turn`, but each in a process of its own, which has nothing else in its memory.

    In one process the memory that one function needs may stay with the process for the others, which then need not ask
    the system for it as they do where they are alone. How often they ask differs from process to process: so there are
    several of them, one after the other.

    Args:
        prepare: an importable function; called in a new process, it returns the function to time.
        arguments: for `prepare`, picklable, one sequence for each function.
        processes: how many, one after the other, each function is timed in.
        repeats: counted rounds with each set of processes, at most.
        warmup: rounds with each set of processes that are not counted.
        seconds: time after which a set of processes begins no round; see `time_in_turn`.

    Returns:
        Seconds of every call of each function, one set of processes after the other.

    Raises:
        ValueError: if `repeats` is below 2.
    """
    context = multiprocessing.get_context("spawn")
    times: list[tuple[float, ...]] = [()] * len(arguments)
    for _ in range(processes):
        with ExitStack() as stack:
            timers = []
            for values in arguments:
                pool = ProcessPoolExecutor(1, context, initializer=_keep_prepared, initargs=(prepare, values))
                stack.enter_context(pool)
                timers.append(lambda pool=pool: pool.submit(_seconds_of_prepared).result())
            more = _in_turn(timers, repeats, warmup, seconds)
        times = [old + new for old, new in zip(times, more, strict=True)]
    return times


def _in_turn(
    timers: Sequence[Callable[[], float]], repeats: int, warmup: int, seconds: float
) -> list[tuple[float, ...]]:
    if repeats < 2:
        raise ValueError(f"repeats must be at least 2, got {repeats}")
    for _ in range(warmup):
        for timer in timers:
            timer()
    rounds: list[list[float]] = []
    end = time.perf_counter() + seconds
    while len(rounds) < repeats and (len(rounds) < _FEWEST_ROUNDS or time.perf_counter() < end):
        rounds.append([timer() for timer in timers])
    return list(zip(*rounds, strict=True))


def _seconds_of(function: Callable[[], Any]) -> float:
    wait_for_idle_threads()
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


_prepared: Callable[[], Any]  # what a process of `time_in_processes` times


def _keep_prepared(prepare: Callable[..., Callable[[], Any]], arguments: Sequence[Any]) -> None:
    global _prepared
    _prepared = prepare(*arguments)


def _seconds_of_prepared() -> float:
    seconds = _seconds_of(_prepared)
    wait_for_idle_threads()  # before another process is timed
    return seconds


def wait_for_idle_threads() -> None:
    """Return when this process's other threads sleep, two seconds later at most.

    Threads that have no work spin before they sleep, OpenMP's for a short while, ONNX Runtime's for a long one: whoever
    is timed next would have a core less.
    """
    end = time.perf_counter() + _LONGEST_PAUSE
    while time.perf_counter() < end:
        start = time.process_time()
        time.sleep(_LOOK)
        if time.process_time() - start < _LOOK / 10:
            return


def peak_memory(prepare: Callable[..., Callable[[], Any]], arguments: Sequence[Any]) -> int:
    """Bytes by which one call raises the peak of a fresh process's resident memory.

    Args:
        prepare: an importable function; called with `arguments` in a new process, it returns the function to measure.
            What it allocates does not count.
        arguments: for `prepare`, picklable.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        return pool.submit(_peak_of_call, prepare, arguments).result()


def _peak_of_call(prepare: Callable[..., Callable[[], Any]], arguments: Sequence[Any]) -> int:
    function = prepare(*arguments)
    before = _peak_resident()
    function()
    return _peak_resident() - before


def _peak_resident() -> int:
    """The process's largest resident memory so far, in bytes.

    On Linux it is read from the process's status: getrusage(2) also counts what its parent had before exec.
    """
    if _PROCESS_STATUS.exists():
        line = next(line for line in _PROCESS_STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import resource  # POSIX only

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
