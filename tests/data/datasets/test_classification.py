import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mvdet.data.datasets.classification import ClassificationDataset, stack_labels
from mvdet.data.datasets.detection import collate, init_worker
from mvdet.data.io.faults import Fault
from mvdet.data.samplers import MultiScaleBatchSampler
from mvdet.data.transforms.classification import eval_transform, train_transform


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes, one of them with a folder inside."""
    draw = np.random.default_rng(0)
    for name in ("b/1.png", "b/2.png", "a/deep/1.jpg", "a/2.PNG"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    return tmp_path


def test_labels_follow_the_folders(root: Path) -> None:
    dataset = ClassificationDataset(root, transform=eval_transform, size=(32, 32))
    assert dataset.class_names == ("a", "b")
    assert [(Path(one.file).name, one.label) for one in dataset.records] == [
        ("2.PNG", 0),
        ("1.jpg", 0),
        ("1.png", 1),
        ("2.png", 1),
    ]
    image, target = dataset[2]
    assert (image.shape, image.dtype) == ((3, 32, 32), torch.uint8)
    assert {key: int(value) for key, value in target.items()} == {"label": 1, "image_id": 2}
    assert dataset[24, 40, 2][0].shape == (3, 24, 40)
    with pytest.raises(IndexError, match="index 4 of a data set of 4 images"):
        dataset[4]


def test_random_transforms_follow_seed_epoch_and_index(root: Path) -> None:
    augment = partial(train_transform, rand_augment=True, random_erasing=0.5)
    dataset, again, other = (
        ClassificationDataset(root, transform=augment, size=(32, 32), seed=seed) for seed in (0, 0, 1)
    )
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = dataset[1][0]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(7)
    assert torch.equal(again[1][0], first)
    assert not torch.equal(other[1][0], first)
    dataset.set_epoch(1)
    assert not torch.equal(dataset[1][0], first)
    dataset.set_epoch(0)
    assert torch.equal(dataset[1][0], first)


def test_workers_follow_the_epoch_and_the_sampler(root: Path) -> None:
    dataset = ClassificationDataset(root, transform=train_transform)
    sampler = MultiScaleBatchSampler(
        4, base_size=(32, 32), base_batch_size=2, min_size=(32, 32), max_size=(64, 64), num_sizes=2
    )
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=1,
        persistent_workers=True,
        collate_fn=collate,
        worker_init_fn=init_worker,
    )
    for epoch in (0, 1):
        dataset.set_epoch(epoch)
        sampler.set_epoch(epoch)
        for (images, targets), wanted in zip(loader, list(sampler), strict=True):
            assert images.shape[-2:] == wanted[0][:2]
            assert stack_labels(targets).tolist() == [dataset.records[index].label for _, _, index in wanted]
            assert torch.equal(images, torch.stack([dataset[item][0] for item in wanted]))


def test_broken_files_are_left_out_and_counted(root: Path) -> None:
    cut, gone = root / "a" / "deep" / "1.jpg", root / "b" / "1.png"
    cut.write_bytes(cut.read_bytes()[:-200])
    gone.write_bytes(b"")
    with pytest.raises(ValueError, match=r"found 2 bad items \(unreadable image 2\)") as error:
        ClassificationDataset(root, transform=eval_transform, on_bad_data="error")
    error.match(r"image 1: .*1\.jpg: the file is cut short")
    dataset = ClassificationDataset(root, transform=eval_transform)
    assert dataset.bad_data.counts == {Fault.UNREADABLE_IMAGE: 2}
    assert "1.jpg: the file is cut short" in dataset.summary()
    assert [Path(one.file).name for one in dataset.records] == ["2.PNG", "2.png"]
    assert [int(target["image_id"]) for _, target in (dataset[0], dataset[1])] == [0, 1]


def test_training_takes_the_next_image_for_a_broken_one(root: Path) -> None:
    train = ClassificationDataset(root, transform=eval_transform, train=True)
    strict = ClassificationDataset(root, transform=eval_transform, train=True, on_bad_data="error", check_files=False)
    Path(train.records[1].file).unlink()
    assert int(train[1][1]["image_id"]) == 2
    assert "1 files that could not be decoded" in train.summary()
    with pytest.raises(ValueError, match=r"image 1: missing image: .*1\.jpg"):
        strict[1]


def test_another_transform_on_the_same_images(root: Path) -> None:
    dataset = ClassificationDataset(root, transform=eval_transform, size=(32, 32))
    other = dataset.with_transform(partial(eval_transform, resize=(40, 40)), (24, 24))
    assert (other[0][0].shape, dataset[0][0].shape) == ((3, 24, 24), (3, 32, 32))
    assert not torch.equal(other[32, 32, 0][0], dataset[0][0])
    with pytest.raises(ValueError, match=r"size must be \(height, width\) of at least 1, got \(0, 24\)"):
        dataset.with_transform(eval_transform, (0, 24))


def test_draws_of_earlier_versions(root: Path) -> None:
    """What `(seed, epoch, index)` draws stays, or a run could not be resumed under a new version."""
    drawn: list[float] = []

    def note(height: int, width: int) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda image: (drawn.append(float(torch.rand(()))), image)[1]

    dataset = ClassificationDataset(root, transform=note, seed=7)
    dataset.set_epoch(3)
    dataset[2]
    seed = int(np.random.SeedSequence([7, 3, 2]).generate_state(1, np.uint64)[0])
    assert drawn == [float(torch.rand((), generator=torch.Generator().manual_seed(seed)))]


def test_broken_files_and_folders_are_named(root: Path, tmp_path: Path) -> None:
    dataset = ClassificationDataset(root, transform=eval_transform)
    file = Path(dataset.records[1].file)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"image 1: unreadable image: .*1\.jpg: the file is cut short"):
        dataset[1]
    file.unlink()
    with pytest.raises(ValueError, match=r"missing image: .*1\.jpg: no such file"):
        dataset[1]
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere; images lie in .*nowhere/CLASS/"):
        ClassificationDataset(tmp_path / "nowhere", transform=eval_transform)
    (root / "c").mkdir()
    with pytest.raises(
        FileNotFoundError, match=r"no image in the folders of the classes c; looked for files ending in \.avif"
    ):
        ClassificationDataset(root, transform=eval_transform)


def test_the_global_generators_are_left_alone(root: Path) -> None:
    dataset = ClassificationDataset(root, transform=partial(train_transform, rand_augment=True))
    states = random.getstate(), np.random.get_state()[1].tolist()
    dataset[0]
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states


def test_hidden_folders_and_files_are_not_there(root: Path) -> None:
    before = ClassificationDataset(root, transform=eval_transform)
    for folder in (".ipynb_checkpoints", "__MACOSX", "a/.ipynb_checkpoints", "a/__MACOSX"):
        (root / folder).mkdir()
        (root / folder / "0.jpg").write_bytes(b"no picture")
    (root / "a/._0.jpg").write_bytes(b"no picture")
    dataset = ClassificationDataset(root, transform=eval_transform, on_bad_data="error")
    assert dataset.class_names == before.class_names
    assert dataset.records == before.records
