"""The memory that a cap on the pixels of a step promises."""

import sys

import pytest
from sampler_steps import training_steps

from mvdet.benchmarks.measure import peak_memory


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the allocator is told by glibc's environment variables"
)
def test_no_step_takes_more_than_the_largest_size_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Freed memory goes back at once; otherwise the holes that blocks of other sizes leave would be measured, too."""
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        monkeypatch.setenv(name, "262144")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    fixed, multi_scale = (peak_memory(training_steps, (kind, 160, 16, 8)) for kind in (False, True))
    assert multi_scale < 1.1 * fixed
