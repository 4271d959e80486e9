"""Freed memory that stays with the process between one map and the next."""

import ctypes
import os
import sys
from functools import cache

# Parameters of mallopt(3), from glibc's malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

_KEPT_BYTES = 2**28
_LARGEST_KEPT_BLOCK = 2**25  # bytes; more than that glibc does not take (DEFAULT_MMAP_THRESHOLD_MAX on 64-bit systems)
_SETTINGS = ("MALLOC_", "GLIBC_TUNABLES")  # what the names of the environment's variables for malloc begin with

SWITCH = "MVDET_KEEP_FREED_MEMORY"
"""Environment variable: 0 leaves malloc as it is."""


@cache
def keep_freed_memory() -> None:
    """Have glibc's malloc keep up to 256 MiB of freed memory for later, as PyTorch's allocator does for GPUs.

    For the whole process, and decided once. By default malloc returns a map's memory to the system soon after it is
    freed, and the system clears each of its pages before it hands them out again: thousands of page faults an image, of
    2 microseconds each. Without them, pyramids of one image or of eight take 0.85 to 0.97 of the time in processes of
    their own.

    Blocks of more than 32 MiB still go back at once. Nothing happens without glibc, where the environment has settings
    for malloc, or where `SWITCH` is 0.
    """
    if sys.platform != "linux" or os.environ.get(SWITCH) == "0" or any(n.startswith(_SETTINGS) for n in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
