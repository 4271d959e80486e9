"""Samples of ultralytics' data set at the size that is asked for, and epochs that all have one length."""

import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ultralytics.cfg import get_cfg
from ultralytics.data.build import build_yolo_dataset
from ultralytics.data.utils import check_det_dataset

from mvdet.data.samplers import MultiScaleBatchSampler
from mvdet.data.shapes.dataset import generate
from mvdet.yolo.multi_scale import SizeRange
from mvdet.yolo.multi_scale_data import SizedDataset, SteadyBatchSampler

REPOSITORY = Path(__file__).parents[2]
IMAGES, BATCH = 22, 4


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("multi_scale")
    generate(folder / "shapes", num_train=IMAGES, num_val=6)
    text = (REPOSITORY / "cfg" / "datasets" / "shapes.yaml").read_text()
    (folder / "shapes.yaml").write_text(re.sub(r"(?m)^path:.*$", f"path: {folder / 'shapes'}", text))
    return folder / "shapes.yaml"


@pytest.mark.parametrize("augment", [False, True])
def test_samples_are_those_of_a_stock_data_set_of_that_size(augment: bool, data: Path) -> None:
    off = {"mosaic": 0, "degrees": 0, "translate": 0, "scale": 0, "fliplr": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0}
    args = get_cfg(overrides={"task": "detect"} | ({"mixup": 0.5} if augment else off))
    sized = sized_dataset(args, data)
    for size in (96, 128, 160):
        args.imgsz = size
        stock = build_stock(args, data)
        for index in range(8 if augment else IMAGES):
            expected, actual = (sample(dataset, key) for dataset, key in ((stock, index), (sized, (size, size, index))))
            assert expected.keys() == actual.keys()
            assert actual["img"].shape == (3, size, size)
            for key, value in expected.items():
                assert torch.equal(value, actual[key]) if torch.is_tensor(value) else value == actual[key], key


def test_images_in_memory_are_kept_once_and_boxes_stay_right(data: Path) -> None:
    args = get_cfg(overrides={"task": "detect", "mosaic": 0, "translate": 0, "scale": 0, "fliplr": 0, "hsv_v": 0})
    args.hsv_h = args.hsv_s = 0
    sized = sized_dataset(args, data, cache="ram")
    for size in (96, 128, 160):
        args.imgsz, args.cache = size, False
        stock = build_stock(args, data)
        for index in range(IMAGES):
            expected, actual = sample(stock, index), sample(sized, (size, size, index))
            assert torch.equal(expected["bboxes"], actual["bboxes"])
            assert expected["resized_shape"] == actual["resized_shape"]
            difference = (expected["img"].float() - actual["img"].float()).abs().mean()
            assert difference == 0 if size == 160 else difference < 8
    assert len({id(view.ims) for view in sized.views.values()}) == 1


def sized_dataset(args: SimpleNamespace, data: Path, cache: str | bool = False) -> SizedDataset:
    pairs = SizeRange(96, 160).pairs(128, BATCH, 32)
    args.imgsz, args.cache = 160, cache
    return SizedDataset(build_stock(args, data), pairs, args)


def build_stock(args: SimpleNamespace, data: Path) -> Any:
    settings = check_det_dataset(str(data))
    return build_yolo_dataset(args, settings["train"], BATCH, settings)


def sample(dataset: Any, key: Any) -> dict[str, Any]:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
    result: dict[str, Any] = dataset[key]
    return result


def test_epochs_have_one_length_and_all_processes_the_same_steps() -> None:
    def batches(epoch: int, rank: int) -> Sequence[Any]:
        plan = MultiScaleBatchSampler(203, base_batch_size=16, num_replicas=2, rank=rank, seed=3)
        sampler = SteadyBatchSampler(plan)
        sampler.set_epoch(epoch)
        steps = list(sampler)
        assert len(steps) == len(sampler)
        return steps

    lengths, orders = set(), set()
    for epoch in range(12):
        both = [batches(epoch, rank) for rank in (0, 1)]
        lengths |= {len(steps) for steps in both}
        sizes = [[(batch[0][:2], len(batch)) for batch in steps] for steps in both]
        assert sizes[0] == sizes[1]
        orders.add(str(sizes[0]))
        counts = Counter(index for steps in both for batch in steps for *_, index in batch)
        assert counts.keys() == set(range(203))
        assert sorted(counts.values())[-2:] == [1, 2]  # one repeat makes the two even
    assert len(lengths) == 1
    assert len(orders) == 12
