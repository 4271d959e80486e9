"""What a process is measured at: training steps of the sizes that a sampler asks for."""

from collections.abc import Callable
from itertools import islice

import torch
from torch.nn import functional as F

from mvdet import create_model
from mvdet.data.samplers import FixedSizeBatchSampler, MultiScaleBatchSampler


def training_steps(multi_scale: bool, side: int, batch_size: int, steps: int) -> Callable[[], None]:
    """A function that trains for some steps; `batch_size` images of `side` pixels are the most that a step may have."""
    torch.set_num_threads(1)
    model = create_model("mobilevit_xxs", num_classes=5).train()
    optimizer = torch.optim.AdamW(model.parameters())
    cap = side * side * batch_size
    sampler = FixedSizeBatchSampler(10_000, size=(side, side), batch_size=batch_size)
    if multi_scale:
        half = (side // 2, side // 2)
        sampler = MultiScaleBatchSampler(  # type: ignore[assignment]
            10_000, base_batch_size=64, min_size=half, max_size=(side, side), divisor=16, max_pixels=cap
        )
    batches = [(len(batch), *batch[0][:2]) for batch in islice(sampler, steps)]
    assert len({batch[1:] for batch in batches}) >= (4 if multi_scale else 1)

    def run() -> None:
        for count, height, width in batches:
            optimizer.zero_grad()
            logits = model(torch.rand(count, 3, height, width).contiguous(memory_format=torch.channels_last))
            F.cross_entropy(logits, torch.zeros(count, dtype=torch.int64)).backward()
            optimizer.step()

    return run
