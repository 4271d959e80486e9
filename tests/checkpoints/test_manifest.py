"""The manifest: complete, consistent with the networks and the key tables, and found by every name."""

from pathlib import Path

import pytest
import yaml

from mvdet import list_backbones, list_models
from mvdet.backbones import VARIANTS
from mvdet.checkpoints.formats import get_format
from mvdet.checkpoints.manifest import (
    PublishedWeights,
    as_markdown,
    find_published,
    get_published,
    manifest,
    preprocessing_table,
    read_manifest,
)
from mvdet.resources import resource

ENTRIES = list(manifest().values())
APPLE = "https://docs-assets.developer.apple.com/ml-research/models/"
CLASSES = {"ImageNet-1k": 1000, "COCO": 81, "VOC2012": 21, "ADE20k": 150}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_entries_are_consistent(entry: PublishedWeights) -> None:
    assert entry.name == f"{entry.model}.{entry.tag}"
    assert entry.model in list_models()
    assert entry.variant in list_backbones()
    assert entry.tag.startswith(entry.publisher)
    assert entry.num_classes == CLASSES[entry.dataset]
    assert entry.format == {"apple": "cvnets"}.get(entry.publisher, entry.publisher)
    assert (entry.url is None) != (entry.hub_id is None)
    assert entry.hub_id is not None or entry.url.startswith(APPLE)
    assert bool(entry.hub_files) == (entry.hub_id is not None)
    assert entry.preprocessing.keys() == {"resize", "crop", "interpolation", "source"}
    assert entry.licence.keys() == {"name", "url"}
    assert entry.metric.keys() == {"name", "source"}
    assert (entry.value is None) == (entry.metric["source"] is None)
    assert entry.sha256 is None or len(bytes.fromhex(entry.sha256)) == 32
    # What a file expects is stated once for each source, and must be what is stated for each file.
    assert entry.bgr == (VARIANTS[entry.variant].version in get_format(entry.format).bgr_versions)


def test_the_model_zoo_is_complete() -> None:
    """Every file that Apple's model zoo lists for our networks, and the hub's copies."""
    names = {(entry.url or entry.hub_id).removeprefix(APPLE) for entry in ENTRIES}
    widths = ("0.5", "0.75", "1.0", "1.25", "1.5", "1.75", "2.0")
    wanted = {f"cvnets/classification/mobilevit_{size}.pt" for size in ("xxs", "xs", "s")}
    wanted |= {f"cvnets/detection/ssd_mobilevit_{size}_320.pt" for size in ("xxs", "xs", "s")}
    wanted |= {f"cvnets/segmentation/deeplabv3_mobilevit_{size}.pt" for size in ("xxs", "xs", "s")}
    v2 = "cvnets-v2/{}/mobilevitv2{}-{}.pt"
    for pixels in ("256x256", "384x384"):
        wanted |= {v2.format(f"classification/mobilevitv2/imagenet1k/{pixels}", "", w) for w in widths}
    wanted |= {
        f"cvnets-v2/segmentation/pascalvoc/mobilevitv2/deeplabv3-mobilevitv2-{w}.pt"
        for w in ("0.5", "1.0", "1.25", "1.5")
    }
    wanted |= {f"cvnets-v2/segmentation/ade20k/mobilevitv2/deeplabv3-mobilevitv2-{w}.pt" for w in widths}
    wanted |= {f"cvnets-v2/detection/mobilevitv2/coco-ssd-mobilevitv2-{w}.pt" for w in widths}
    for pixels in ("256x256", "384x384"):
        folder = f"classification/mobilevitv2/imagenet21k_to_1k/{pixels}"
        wanted |= {v2.format(folder, "", w) for w in ("1.5", "1.75", "2.0")}
    wanted |= {
        f"apple/{head}mobilevit-{size}" for head in ("", "deeplabv3-") for size in ("xx-small", "x-small", "small")
    }
    wanted |= {"apple/mobilevitv2-1.0-imagenet1k-256"}
    wanted |= {f"timm/{variant}.cvnets_in1k" for variant in list_backbones()}
    wanted |= {
        f"timm/mobilevitv2_{w}.cvnets_in22k_ft_in1k{size}" for w in ("150", "175", "200") for size in ("", "_384")
    }
    assert not wanted - names
    assert {name for name in names - wanted if not name.startswith("apple/mobilevitv2-")} == set()


@pytest.mark.parametrize("variant", list_backbones())
def test_names_find_their_file(variant: str) -> None:
    apple = f"{variant}.apple_in1k"
    for name in ("DEFAULT", "apple", "apple_in1k", apple):
        assert find_published(name, variant=variant, task="classification").name == apple
    assert find_published("timm", variant=variant, task="classification").name == f"{variant}.timm_in1k"
    assert find_published("apple", variant=variant, task="detection").dataset == "COCO"
    assert get_published(apple).variant == variant


def test_names_of_other_models_and_of_none() -> None:
    with pytest.raises(
        ValueError, match=r"'mobilevit_s.apple_in1k' are mobilevit_s's for classification, the model is m"
    ):
        find_published("mobilevit_s.apple_in1k", variant="mobilevit_xs", task="classification")
    with pytest.raises(ValueError, match=r"unknown weights 'aple'; did you mean apple.* DEFAULT, apple, timm, transf"):
        find_published("aple", variant="mobilevit_xs", task="classification")
    with pytest.raises(
        ValueError, match=r"no published weights are named 'mobilevit_s.aple'; did you mean mobilevit_s"
    ):
        get_published("mobilevit_s.aple")


def test_broken_manifests(tmp_path: Path) -> None:
    row = yaml.safe_load(resource("weights/manifest.yaml").read_text())["files"][0]
    path = tmp_path / "manifest.yaml"
    path.write_text(yaml.safe_dump({"files": [row, row]}))
    with pytest.raises(ValueError, match=f"two entries are named '{row['name']}'"):
        read_manifest(path)
    path.write_text(yaml.safe_dump({"files": [{k: v for k, v in row.items() if k != "sha256"}]}))
    with pytest.raises(ValueError, match=r"differs in \{'sha256'\}"):
        read_manifest(path)


def test_the_table_of_the_docs_is_the_manifest() -> None:
    readme = Path(__file__).parents[2] / "weights" / "README.md"
    assert as_markdown(preprocessing_table(ENTRIES)) in readme.read_text()
