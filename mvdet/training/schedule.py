"""Learning rate by step."""

import math


def warmup_cosine(
    step: int, total_steps: int, *, highest: float, lowest: float, warmup_steps: int, warmup_start: float
) -> float:
    """Linear from `warmup_start` to `highest` over `warmup_steps`, then half a cosine down to `lowest` at the end.

    Of a run that is shorter than three warm-ups, a third is warm-up.
    """
    warmup_steps = min(warmup_steps, total_steps // 3)
    if step < warmup_steps:
        return warmup_start + (highest - warmup_start) * step / warmup_steps
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return lowest + (highest - lowest) * (1 + math.cos(math.pi * progress)) / 2
