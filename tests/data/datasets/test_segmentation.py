"""Images and masks; what this data set shares with detection's (files, workers, seeds) is tested there."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from mvdet.data.datasets.detection import collate
from mvdet.data.datasets.segmentation import MaskRecord, SegmentationDataset
from mvdet.data.io.faults import BadData, Fault
from mvdet.data.transforms.segmentation import eval_transform, train_transform

CLASSES = ("background", "cat", "dog")
HEIGHT, WIDTH = 48, 64


def write(folder: Path, count: int = 3) -> list[MaskRecord]:
    """Pictures whose red says the mask's class number, times 80, and masks."""
    records = []
    for index in range(count):
        mask = np.random.default_rng(index).integers(0, 3, (HEIGHT // 16, WIDTH // 16), dtype=np.uint8)
        mask = mask.repeat(16, axis=0).repeat(16, axis=1)
        picture = np.stack([mask * 80, mask, mask], axis=2)
        mask[0] = 255
        record = MaskRecord(str(folder / f"{index}.png"), str(folder / f"{index}_mask.png"), 100 + index)
        Image.fromarray(picture).save(record.file)
        Image.fromarray(mask).save(record.mask_file)
        records.append(record)
    return records


def make(folder: Path, *, policy: str = "error", **options: Any) -> SegmentationDataset:
    records = options.pop("records", None) or write(folder)
    bad_data = BadData("test set", policy)  # type: ignore[arg-type]
    return SegmentationDataset(records, CLASSES, bad_data, **{"train": True, **options})


def stored_mask(dataset: SegmentationDataset, index: int) -> torch.Tensor:
    return torch.from_numpy(np.asarray(Image.open(dataset.records[index].mask_file)).astype(np.int64))


def test_the_contract_without_transforms(tmp_path: Path) -> None:
    dataset = make(tmp_path)
    image, target = dataset[1]
    assert (image.dtype, image.shape, image.is_contiguous()) == (torch.uint8, (3, HEIGHT, WIDTH), True)
    assert {key: (value.dtype, tuple(value.shape)) for key, value in target.items()} == {
        "mask": (torch.int64, (HEIGHT, WIDTH)),
        "image_id": (torch.int64, ()),
        "orig_size": (torch.int64, (2,)),
    }
    assert torch.equal(target["mask"], stored_mask(dataset, 1))
    assert set(target["mask"].unique().tolist()) == {0, 1, 2, 255}
    assert (target["image_id"], target["orig_size"].tolist()) == (101, [HEIGHT, WIDTH])
    assert torch.equal(image[0][1:], target["mask"][1:] * 80)
    assert (len(dataset), dataset.class_names) == (3, CLASSES)


def test_training_transforms_image_and_mask_together(tmp_path: Path) -> None:
    dataset = make(tmp_path, transform=lambda h, w: train_transform(h, w, photometric=False), size=(32, 40), seed=1)
    seen = set()
    for epoch in range(10):
        dataset.set_epoch(epoch)
        image, target = dataset[0]
        assert image.shape == (3, 32, 40)
        assert target["mask"].shape == (32, 40)
        assert target["orig_size"].tolist() == [HEIGHT, WIDTH]
        # where the picture is one colour, it is the mask's; elsewhere the resize has mixed two
        red, mask = image[0].long(), target["mask"]
        pure = (red % 80 == 0) & (mask != 255)
        assert pure.sum() > 0.3 * (mask != 255).sum()
        assert (red[pure] == mask[pure] * 80).float().mean() > 0.97
        seen.add(image.numpy().tobytes())
    assert len(seen) == 10
    dataset.set_epoch(0)
    again = dataset[0]
    assert again[0].numpy().tobytes() in seen
    assert not torch.equal(again[0], dataset[64, 64, 0][0][:, :32, :40])
    assert dataset[64, 48, 0][1]["mask"].shape == (64, 48)


def test_evaluation_keeps_the_stored_mask(tmp_path: Path) -> None:
    dataset = make(tmp_path, train=False, transform=eval_transform, size=(96, 32))
    image, target = dataset[2]
    assert image.shape == (3, 96, 32)
    assert torch.equal(target["mask"], stored_mask(dataset, 2))
    assert target["mask"].shape == tuple(target["orig_size"].tolist())


def test_batches(tmp_path: Path) -> None:
    plan = [[(32, 64, 0), (32, 64, 1)], [(96, 96, 2)]]
    dataset = make(tmp_path, transform=train_transform)
    batches = list(DataLoader(dataset, batch_sampler=plan, collate_fn=collate, num_workers=1))
    assert [images.shape for images, _ in batches] == [(2, 3, 32, 64), (1, 3, 96, 96)]
    assert torch.stack([target["mask"] for target in batches[0][1]]).shape == (2, 32, 64)


def test_a_size_needs_a_transform(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"size \(32, 32\) was asked for, .* has no transform"):
        make(tmp_path)[32, 32, 0]


@pytest.mark.parametrize("names", [(), ("a", "a"), tuple(map(str, range(256)))])
def test_class_names_that_cannot_be(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=f"class_names must be 1 to 255, each once, got {len(names)}"):
        SegmentationDataset(write(tmp_path), names, BadData("set"), train=True)


def spoil(record: MaskRecord, how: str) -> None:
    mask = np.asarray(Image.open(record.mask_file)).copy()
    if how == "missing":
        Path(record.mask_file).unlink()
    elif how == "size":
        Image.fromarray(mask[:, :-1]).save(record.mask_file)
    elif how == "label":
        mask[5, 7] = 3
        Image.fromarray(mask).save(record.mask_file)
    elif how == "colours":
        Image.fromarray(mask).convert("RGB").save(record.mask_file)
    else:
        Path(record.file).unlink()


FAULTS = [
    ("missing", Fault.MISSING_MASK, "{mask}: no such file"),
    ("size", Fault.OTHER_MASK_SIZE, "{mask}: has 63 x 48 pixels, its image {image} 64 x 48"),
    ("label", Fault.UNKNOWN_LABEL, r"{mask}: has the class numbers 3 \(first at row 5, column 7\), allowed are 0 to 2"),
    ("colours", Fault.NO_INDEX_MASK, "{mask}: RGB; a mask must be a palette or a grey PNG of class numbers"),
    ("image", Fault.MISSING_IMAGE, "{image}: no such file"),
]


@pytest.mark.parametrize(("how", "fault", "message"), FAULTS)
def test_bad_pairs_are_found_at_once(tmp_path: Path, how: str, fault: Fault, message: str) -> None:
    records = write(tmp_path)
    spoil(records[1], how)
    wanted = f"{fault}: image 101: " + message.format(mask=records[1].mask_file, image=records[1].file)
    with pytest.raises(ValueError, match=wanted):
        make(tmp_path, records=records)
    dataset = make(tmp_path, records=records, policy="skip")
    assert [record.image_id for record in dataset.records] == [100, 102]
    assert dataset.bad_data.counts == {fault: 1}


@pytest.mark.parametrize(("how", "fault", "message"), FAULTS)
def test_bad_pairs_that_are_met_later(
    tmp_path: Path, how: str, fault: Fault, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    records = write(tmp_path)
    spoil(records[1], how)
    wanted = f"^image 101: {fault}: " + message.format(mask=records[1].mask_file, image=records[1].file)
    for policy, train in (("error", True), ("error", False), ("skip", False)):
        with pytest.raises(ValueError, match=wanted):
            make(tmp_path, records=records, policy=policy, train=train, check_files=False)[1]
    dataset = make(tmp_path, records=records, policy="skip", check_files=False)
    with caplog.at_level(logging.WARNING):
        assert dataset[1][1]["image_id"] == 102
    assert str(fault) in caplog.text
    assert "1 files that could not be decoded" in dataset.summary()


@pytest.mark.parametrize("check_files", [True, False])
def test_pixels_are_counted(tmp_path: Path, check_files: bool) -> None:
    dataset = make(tmp_path, check_files=check_files)
    masks = torch.stack([stored_mask(dataset, index) for index in range(3)])
    pixels, masks_with = dataset.count_pixels()
    assert pixels.tolist() == torch.bincount(masks.flatten(), minlength=256).tolist()
    assert masks_with.tolist() == [int((masks == number).flatten(1).any(dim=1).sum()) for number in range(256)]


def test_a_part_has_its_own_pixels(tmp_path: Path) -> None:
    part = make(tmp_path).restricted([2, 0])
    masks = torch.stack([stored_mask(part, index) for index in range(2)])
    assert part.count_pixels()[0].tolist() == torch.bincount(masks.flatten(), minlength=256).tolist()


def test_masks_that_are_left_out_are_not_counted(tmp_path: Path) -> None:
    records = write(tmp_path)
    Path(records[1].file).unlink()
    dataset = make(tmp_path, records=records, policy="skip")
    assert dataset.count_pixels()[0].sum() == 2 * HEIGHT * WIDTH
    Path(records[0].mask_file).unlink()
    with pytest.raises(ValueError, match=r"missing mask 1.*\n.*0_mask.png: no such file"):
        make(tmp_path, records=records[:1], check_files=False).count_pixels()


def test_masks_of_other_numbers(tmp_path: Path) -> None:
    records = write(tmp_path)
    for record in records:
        mask = np.asarray(Image.open(record.mask_file))
        Image.fromarray(np.array([0, 128, 254], dtype=np.uint8)[mask % 255]).save(record.mask_file)
    dataset = make(tmp_path, records=records, mask_values=(0, 128, 254))
    assert set(dataset[0][1]["mask"].unique().tolist()) == {0, 1, 2}
    assert dataset.count_pixels()[0][:3].sum() == 3 * HEIGHT * WIDTH
    with pytest.raises(ValueError, match=r"3 classes, got 0 128$"):
        make(tmp_path, records=records, mask_values=(0, 128))
