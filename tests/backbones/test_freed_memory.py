"""Freed memory stays with the process: page faults are counted in new ones, for it happens once in each."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from mvdet import create_backbone

torch.set_num_threads(1)
model, images = create_backbone("mobilevit_xxs").eval(), torch.rand(1, 3, 320, 320)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        model(images)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 4

with torch.no_grad():
    faults()
    print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc only")
def test_an_image_has_no_page_faults_unless_the_user_sets_malloc() -> None:
    unset = ("MALLOC_", "GLIBC_TUNABLES", "MVDET_")
    ours = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    theirs = ours | {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
    off = ours | {"MVDET_KEEP_FREED_MEMORY": "0"}
    kept, returned, switched_off = (
        int(subprocess.run([sys.executable, "-c", FAULTS], env=env, check=True, capture_output=True, text=True).stdout)
        for env in (ours, theirs, off)
    )
    assert kept < 200
    assert returned > 1000
    assert switched_off > 500
