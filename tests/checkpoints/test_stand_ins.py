"""Checkpoints of other training code: what is not needed is neither imported nor made."""

import argparse
import pathlib
import re
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mvdet.checkpoints import read_state_dict
from mvdet.checkpoints.stand_ins import STAND_INS, StandIn
from mvdet.checkpoints.torch_files import read_torch

WEIGHTS = {"stem.weight": torch.arange(3.0)}
SETTINGS = argparse.Namespace(
    model="mobilevit_xxs",
    lr=1e-3,
    mean=[0.5, 0.5],
    output=pathlib.Path("/tmp/out"),
    nested=argparse.Namespace(pretrained=False, kwargs={"drop": None}),
)


@pytest.mark.parametrize("zipped", [True, False])
def test_settings_and_records(zipped: bool, tmp_path: Path) -> None:
    """As timm's train.py and OpenMMLab's runner keep them."""
    content = {
        "epoch": 3,
        "args": SETTINGS,
        "metric": np.float64(71.5),
        "random": np.random.RandomState(0).get_state(),
        "state_dict": WEIGHTS,
    }
    torch.save(content, tmp_path / "w.pth.tar", _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_state_dict(tmp_path / "w.pth.tar")["stem.weight"], WEIGHTS["stem.weight"])
    read = read_torch(tmp_path / "w.pth.tar", stand_ins=True)
    assert type(read["args"]) is type(read["metric"]) is StandIn
    assert not hasattr(read["args"], "lr")
    with pytest.raises(ValueError, match=r"^refused, it needs argparse.Namespace and would run its code"):
        read_torch(tmp_path / "w.pth.tar")  # of a run of ours, it is all that is asked for


@pytest.mark.parametrize("name", list(STAND_INS))
def test_nothing_is_imported(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A class of that name, which says so when it is made of a file, is not."""
    module, _, short = name.rpartition(".")
    is_dict = STAND_INS[name] is OrderedDict

    class Made(dict if is_dict else object):  # type: ignore[misc]
        def __setstate__(self, state: Any) -> None:
            raise AssertionError

    Made.__module__, Made.__qualname__, Made.__name__ = module, short, short
    made = Made(a=1) if is_dict else Made()
    made.setting = 3
    with monkeypatch.context() as patch:
        for depth in range(1, module.count(".") + 2):
            path = ".".join(module.split(".")[:depth])
            patch.setitem(sys.modules, path, types.ModuleType(path))
        setattr(sys.modules[module], short, Made)
        torch.save({"state_dict": WEIGHTS, "settings": made}, tmp_path / "w.pth")
    assert read_state_dict(tmp_path / "w.pth").keys() == WEIGHTS.keys()
    assert type(read_torch(tmp_path / "w.pth", stand_ins=True)["settings"]) is STAND_INS[name]


def test_bytes_are_counted(tmp_path: Path) -> None:
    """One long string, made into bytes over and over, would fill the memory."""
    text = b"x" * 100_000
    string = b"X" + len(text).to_bytes(4, "little") + text + b"q\x01X\x06\x00\x00\x00latin1q\x02"
    content = b"\x80\x02](" + string + b"c_codecs\nencode\nq\x03" + b"h\x03h\x01h\x02\x86R" * 10_000 + b"e."
    torch.save(WEIGHTS, tmp_path / "w.pth")
    with zipfile.ZipFile(tmp_path / "w.pth") as source:
        entries = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as target:
        for name, part in entries.items():
            target.writestr(name, content if name.endswith("data.pkl") else part)
    with pytest.raises(ValueError, match=r"refused, its \d+ bytes claim to hold 1000000000 bytes"):
        read_state_dict(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("pickled", "what"),
    [
        (b"]q\x00cyacs.config\nCfgNode\nh\x00\x85R.", "it calls yacs.config.CfgNode as torch.save does not"),
        (b"cyacs.config\nCfgNode\n)\x81]b.", "it sets the state of something else than an OrderedDict"),
        (b"c_codecs\nencode\nX\x01\x00\x00\x00xX\x03\x00\x00\x00hex\x86R.", "it needs _codecs.encode and"),
        (b"cargparse\nFileType\n)\x81.", "it needs argparse.FileType and would run its code"),
        (b"ctimm.models.byobnet\nByobNet\n)\x81.", "it needs timm.models.byobnet.ByobNet and would run its code"),
    ],
)
def test_what_is_refused_all_the_same(pickled: bytes, what: str, tmp_path: Path) -> None:
    """An ordinary dict takes the place of some: items that take years to hash could be given to it."""
    (tmp_path / "w.pth").write_bytes(b"\x80\x02" + pickled)
    with pytest.raises(ValueError, match=re.escape(f"refused, {what}")):
        read_state_dict(tmp_path / "w.pth")
