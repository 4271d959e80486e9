"""How many threads PyTorch has on a CPU under ultralytics: a switch, for ultralytics has none.

It leaves one core idle on purpose, and sets PyTorch's threads anew whenever it picks a device, so that neither
`OMP_NUM_THREADS` nor `torch.set_num_threads` last. On two cores, that is half of the machine.
"""

import os

from ultralytics.utils import torch_utils

SWITCH = "MVDET_NUM_THREADS"
"""Environment variable: threads of PyTorch wherever ultralytics runs on a CPU; without it, ultralytics decides."""


def apply_threads() -> None:
    """Have ultralytics use as many threads as the variable says.

    Raises:
        ValueError: the variable is no whole number of at least 1.
    """
    value = os.environ.get(SWITCH)
    if not value:
        return
    if not value.isdecimal() or int(value) < 1:
        raise ValueError(f"{SWITCH} must be a whole number of threads, 1 or more, got {value!r}")
    torch_utils.NUM_THREADS = int(value)
