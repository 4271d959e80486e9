from pathlib import Path

import pytest
import torch

from mvdet import create_backbone, list_backbones
from mvdet.backbones.variants import get_variant


def test_ten_variants() -> None:
    names = list_backbones()
    assert len(names) == 10
    assert names[:3] == ["mobilevit_xxs", "mobilevit_xs", "mobilevit_s"]


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("mobilevit-s", "mobilevit_s"), ("mobilevitv2_110", "mobilevitv2_100"), ("MobileViT_XS", "xs")],
)
def test_an_unknown_name_suggests_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"unknown backbone '{wrong}'; did you mean .*{nearest}"):
        create_backbone(wrong)


def test_a_hopeless_name_lists_all() -> None:
    with pytest.raises(ValueError, match=r"unknown backbone 'resnet50'; available: mobilevit_xxs, .*mobilevitv2_200$"):
        get_variant("resnet50")


def test_weights_are_loaded(tmp_path: Path) -> None:
    source = create_backbone("mobilevit_xxs")
    torch.save(source.state_dict(), tmp_path / "xxs.pt")
    loaded = create_backbone("mobilevit_xxs", weights=tmp_path / "xxs.pt")
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in source.state_dict().items())
