import functools
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mvdet.data.datasets.base import Sample
from mvdet.data.datasets.detection import DetectionDataset, collate, init_worker
from mvdet.data.datasets.records import ImageRecord, ObjectRow, pack_objects
from mvdet.data.io.faults import BadData
from mvdet.data.io.ground_truth import CocoImage, GroundTruthObject
from mvdet.data.transforms.detection import eval_transform, train_transform

ROWS: list[ObjectRow] = [
    ((0, 0, 64, 48), 1, 3000, False, False),
    ((10, 10, 20, 30), 2, 150, True, False),
    ((30, 12, 40, 24), 2, 120, False, True),
    ((40, 40, 44, 48), 2, 16, False, False),
]


def write_images(folder: Path, count: int, *, same: bool = False) -> list[str]:
    """PNG files of 64 x 48 pixels, random or all the same."""
    files = []
    for index in range(count):
        picture = np.random.default_rng(0 if same else index).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        files.append(str(folder / f"{index}.png"))
        Image.fromarray(picture).save(files[-1])
    return files


def make(
    folder: Path,
    rows: Sequence[Sequence[ObjectRow]] = (ROWS, [], ROWS[:1]),
    *,
    same: bool = False,
    policy: str = "error",
    **options: Any,
) -> DetectionDataset:
    """A data set with one image for each list of objects; its ids are 100, 101, ..."""
    files = write_images(folder, len(rows), same=same)
    records = [ImageRecord(files[i], 100 + i, 64, 48, pack_objects(objects)) for i, objects in enumerate(rows)]
    bad_data = BadData("test set", policy)  # type: ignore[arg-type]
    return DetectionDataset(records, ("cat", "dog"), (17, 5), bad_data, **{"train": True, **options})


def pixels(file: str) -> torch.Tensor:
    """[3, H, W]"""
    with Image.open(file) as picture:
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def same_sample(first: Sample, second: Sample) -> bool:
    return torch.equal(first[0], second[0]) and all(torch.equal(first[1][key], second[1][key]) for key in first[1])


def test_the_contract_without_transforms(tmp_path: Path) -> None:
    dataset = make(tmp_path, train=False)
    image, target = dataset[0]
    assert (image.dtype, image.shape, image.is_contiguous()) == (torch.uint8, (3, 48, 64), True)
    assert torch.equal(image, pixels(dataset.records[0].file))
    assert {key: (value.dtype, tuple(value.shape)) for key, value in target.items()} == {
        "boxes": (torch.float32, (4, 4)),
        "labels": (torch.int64, (4,)),
        "image_id": (torch.int64, ()),
        "area": (torch.float32, (4,)),
        "iscrowd": (torch.int64, (4,)),
        "orig_size": (torch.int64, (2,)),
    }
    assert target["boxes"].tolist() == [list(row[0]) for row in ROWS]
    assert target["labels"].tolist() == [1, 2, 2, 2]
    assert target["image_id"] == 100
    assert target["area"].tolist() == [3000, 150, 120, 16]
    assert target["iscrowd"].tolist() == [0, 1, 1, 0]
    assert target["orig_size"].tolist() == [48, 64]


def test_training_targets_lack_crowds_and_difficult_objects(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    _, target = dataset[0]
    assert target["boxes"].tolist() == [[0, 0, 64, 48], [40, 40, 44, 48]]
    assert target["labels"].tolist() == [1, 2]
    assert target["iscrowd"].tolist() == [0, 0]
    assert len(dataset.ground_truth().objects) == 5


@pytest.mark.parametrize("transform", [None, eval_transform, train_transform])
@pytest.mark.parametrize("train", [True, False])
def test_images_without_objects(tmp_path: Path, transform: Any, train: bool) -> None:
    image, target = make(tmp_path, transform=transform, train=train)[1]
    assert image.shape == ((3, 48, 64) if transform is None else (3, 320, 320))
    assert target["boxes"].shape == (0, 4)
    assert [len(target[key]) for key in ("labels", "area", "iscrowd")] == [0, 0, 0]
    assert target["labels"].dtype == torch.int64


def test_boxes_area_and_labels_follow_the_resize(tmp_path: Path) -> None:
    image, target = make(tmp_path, transform=eval_transform, size=(96, 32), train=False)[0]
    assert image.shape == (3, 96, 32)
    expected = [[0, 0, 32, 96], [5, 20, 10, 60], [15, 24, 20, 48], [20, 80, 22, 96]]
    np.testing.assert_allclose(target["boxes"], expected, atol=1e-4)
    np.testing.assert_allclose(target["area"], [3000, 150, 120, 16], rtol=1e-5)  # twice as high, half as wide
    assert target["orig_size"].tolist() == [48, 64]


def test_a_target_may_be_changed(tmp_path: Path) -> None:
    dataset = make(tmp_path, train=False)
    for index in (0, 2):
        _, target = dataset[index]
        before = target["boxes"].clone()
        for value in target.values():
            value.zero_()
        assert torch.equal(dataset[index][1]["boxes"], before)
        assert dataset[index][1]["labels"].min() == 1


def test_a_triple_asks_for_a_size(tmp_path: Path) -> None:
    made = []

    def factory(height: int, width: int) -> Any:
        made.append((height, width))
        return eval_transform(height, width)

    dataset = make(tmp_path, transform=factory, size=(64, 64))
    sizes = [tuple(dataset[item][0].shape[1:]) for item in ((160, 192, 0), 0, (160, 192, 2), (32, 64, 1), 1)]
    assert sizes == [(160, 192), (64, 64), (160, 192), (32, 64), (64, 64)]
    assert made == [(160, 192), (64, 64), (32, 64)]  # each is built once
    assert dataset[160, 192, 2][1]["image_id"] == 102


def test_items_that_cannot_be(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    with pytest.raises(ValueError, match=r"size \(32, 32\) was asked for, .* has no transform"):
        dataset[32, 32, 0]
    with pytest.raises(ValueError, match=r"size must be .* at least 1, got \(0, 32\)"):
        dataset[0, 32, 0]
    for index in (3, -4):
        with pytest.raises(IndexError, match=f"index {index} of a data set of 3 images"):
            dataset[index]
    assert dataset[-1][1]["image_id"] == 102
    assert len(list(iter(dataset))) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (320, 0)}, r"size must be .* got \(320, 0\)"),
        ({"seed": -1}, r"seed must be at least 0, got -1"),
        ({"rows": []}, r"test set: no usable image"),
    ],
)
def test_arguments_out_of_range(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(tmp_path, **options)


# Randomness


def loaded(dataset: DetectionDataset, workers: int, **options: Any) -> list[Sample]:
    """One epoch, in order, one sample a batch, so that workers take turns."""
    loader = DataLoader(dataset, num_workers=workers, batch_size=None, worker_init_fn=init_worker, **options)
    return list(loader)


def test_workers_differ_and_a_seed_repeats(tmp_path: Path) -> None:
    """All images are the same, so equal samples would mean equal augmentations."""
    dataset = make(tmp_path, [ROWS[:1]] * 6, same=True, transform=train_transform, size=(32, 32))
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(loaded(dataset, 2) + loaded(dataset, 2))  # two epochs
    first, again, other = ([image.numpy().tobytes() for image, _ in run] for run in runs)
    assert first == again
    assert len(set(first)) == 12  # no worker repeats the other, no epoch the one before
    assert not set(first) & set(other)
    assert all(same_sample(one, two) for one, two in zip(runs[0], runs[1], strict=True))


@pytest.mark.parametrize("options", [{}, {"multiprocessing_context": "spawn"}], ids=["fork", "spawn"])
def test_with_a_seed_the_sample_depends_on_epoch_and_index_alone(tmp_path: Path, options: dict[str, str]) -> None:
    dataset = make(tmp_path, [ROWS[:1]] * 4, same=True, transform=train_transform, size=(32, 32), seed=5)
    loader = DataLoader(dataset, num_workers=2, batch_size=None, persistent_workers=True, **options)
    epochs = []
    for epoch in (0, 1, 0):
        dataset.set_epoch(epoch)
        epochs.append(list(loader))
    seen = [image.numpy().tobytes() for epoch in epochs[:2] for image, _ in epoch]
    assert len(set(seen)) == 8
    assert all(same_sample(one, two) for one, two in zip(epochs[0], epochs[2], strict=True))
    torch.manual_seed(77)
    dataset.set_epoch(1)
    assert same_sample(dataset[3], epochs[1][3])
    assert same_sample(dataset[-1], epochs[1][3])
    state = torch.get_rng_state()
    dataset[0]
    assert torch.equal(torch.get_rng_state(), state)


# Ground truth


def test_ground_truth_of_records(tmp_path: Path) -> None:
    truth = make(tmp_path).ground_truth()
    assert truth.source == "test set"
    assert list(truth.class_names.items()) == [(5, "dog"), (17, "cat")]
    assert truth.images[101] == CocoImage(101, "1.png", 64, 48)
    assert truth.objects[1] == GroundTruthObject(100, 5, (10, 10, 10, 20), 150, crowd=True)
    assert (truth.objects[2].crowd, truth.objects[2].difficult) == (True, True)


def test_difficult_objects_are_neither_hit_nor_missed(
    tmp_path: Path, coco_stats: Callable[[dict[str, Any], list[dict[str, Any]]], list[float]]
) -> None:
    dog, difficult = ROWS[3], ROWS[2]
    truth = make(tmp_path, [[dog, difficult]]).ground_truth().as_coco()

    def result(box: Sequence[float], score: float) -> dict[str, Any]:
        x1, y1, x2, y2 = box
        return {"image_id": 100, "category_id": 5, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}

    found = result(dog[0], 0.5)
    assert coco_stats(truth, [found])[1] == pytest.approx(1.0)
    assert coco_stats(truth, [found, result(difficult[0], 0.9), result(difficult[0], 0.8)])[1] == pytest.approx(1.0)
    assert coco_stats(truth, [found, result((0, 0, 9, 9), 0.9)])[1] == pytest.approx(0.5)


# Files that turn out broken


def break_file(dataset: DetectionDataset, index: int) -> str:
    file = Path(dataset.records[index].file)
    file.write_bytes(file.read_bytes()[:-50])
    return str(file)


def test_a_broken_file_is_found_at_once(tmp_path: Path) -> None:
    files = write_images(tmp_path, 3)
    records = [ImageRecord(file, i, 64, 48, pack_objects([])) for i, file in enumerate(files)]
    records.append(ImageRecord(str(tmp_path / "none.png"), 3, 64, 48, pack_objects([])))
    records.append(ImageRecord(files[2], 4, 48, 64, pack_objects([])))
    Path(files[1]).write_bytes(Path(files[1]).read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"found 3 bad items") as error:
        DetectionDataset(records, ("a",), (1,), BadData("set", "error"), train=True)
    for message in (
        r"image 1: .*1.png: the file is cut short",
        r"image 3: .*none.png: no such file",
        r"image 4: .*2.png",
    ):
        error.match(message)
    dataset = DetectionDataset(records, ("a",), (1,), BadData("set", "skip"), train=True)
    assert dataset.records.image_ids.tolist() == [0, 2]
    assert list(dataset.ground_truth().images) == [0, 2]
    assert "left out 3 bad items" in dataset.summary()
    unchecked = DetectionDataset(records, ("a",), (1,), BadData("set", "error"), train=True, check_files=False)
    assert len(unchecked) == 5
    for index, message in ((1, "cut short"), (3, "no such file"), (4, "annotations say 48 x 64")):
        with pytest.raises(ValueError, match=rf"^image {index}: .*{message}"):
            unchecked[index]


def test_broken_later_stops_under_error(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    file = break_file(dataset, 2)
    with pytest.raises(ValueError, match=rf"^image 102: unreadable image: {file}: the file is cut short"):
        dataset[2]


def test_broken_later_gives_the_next_image_in_training(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = make(tmp_path, policy="skip", transform=train_transform)
    file = break_file(dataset, 2)
    with caplog.at_level(logging.WARNING):
        ids = [
            sample[1]["image_id"].item() for _ in range(2) for sample in loaded(dataset, 1, persistent_workers=False)
        ]
        assert ids == [100, 101, 100] * 2
        assert dataset[2][1]["image_id"] == 100
    assert "1 files that could not be decoded" in dataset.summary()  # the worker told
    assert not caplog.records  # and so this process had nothing to log
    dataset = make(tmp_path, policy="skip")
    file = break_file(dataset, 2)
    with caplog.at_level(logging.WARNING):
        assert [dataset[2][1]["image_id"].item() for _ in range(3)] == [100] * 3
    (record,) = caplog.records
    assert record.message.startswith(f"image 102: unreadable image: {file}")


def test_broken_later_stops_evaluation(tmp_path: Path) -> None:
    dataset = make(tmp_path, policy="skip", train=False)
    break_file(dataset, 2)
    with pytest.raises(ValueError, match=r"image 102: .*in evaluation no other image can take its place"):
        dataset[2]


def test_nothing_left_to_read(tmp_path: Path) -> None:
    dataset = make(tmp_path, policy="skip")
    for index in range(3):
        break_file(dataset, index)
    with pytest.raises(ValueError, match=r"test set: not one of 3 images can be read"):
        dataset[0]


# Batches


def test_collate(tmp_path: Path) -> None:
    dataset = make(tmp_path, transform=eval_transform)
    images, targets = collate([dataset[64, 32, 0], dataset[64, 32, 1]])
    assert isinstance(images, torch.Tensor)
    assert (images.shape, images.dtype) == ((2, 3, 64, 32), torch.uint8)
    assert [target["image_id"].item() for target in targets] == [100, 101]
    images, targets = collate([dataset[64, 32, 0], dataset[32, 64, 1]])
    assert isinstance(images, list)
    assert [image.shape for image in images] == [(3, 64, 32), (3, 32, 64)]


def test_a_loader_of_triples(tmp_path: Path) -> None:
    dataset = make(tmp_path, transform=functools.partial(train_transform, photometric=False))
    plan = [[(32, 64, 0), (32, 64, 1)], [(96, 96, 2)]]
    loader = DataLoader(dataset, batch_sampler=plan, collate_fn=collate, num_workers=1, worker_init_fn=init_worker)
    assert [images.shape for images, _ in loader] == [(2, 3, 32, 64), (1, 3, 96, 96)]


@pytest.fixture
def _opencv_threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.mark.usefixtures("_opencv_threads")
def test_workers_use_one_thread() -> None:
    cv2.setNumThreads(4)
    init_worker(0)
    assert cv2.getNumThreads() <= 1


def test_reading_data_imports_no_albumentations() -> None:
    code = "import sys, mvdet.data.datasets.coco, mvdet.data.datasets.voc; sys.exit('albumentations' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
