"""Images in folders, a folder for each class, as ImageNet lies on disk."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mvdet.data.datasets.base import RecordDataset, Sample, Size, Target, with_good_files
from mvdet.data.io.faults import DEFAULT_POLICY, BadData, BadDataPolicy
from mvdet.data.io.images import IMAGE_SUFFIXES, check_header, read_image
from mvdet.data.io.listing import is_hidden, visible_files

Transform = Callable[[Tensor], Tensor]


class LabelledImage(NamedTuple):
    """One image: its path, its class number from 0, and its index in the data set."""

    file: str
    label: int
    image_id: int


class ClassificationDataset(RecordDataset[LabelledImage, NDArray[np.uint8], Transform]):
    """Images with one label each: ROOT/CLASS/any/depth/IMAGE.

    `dataset[index]` gives an image at the default size, `dataset[height, width, index]` one at that size, which is what
    a multi-scale sampler asks for. A sample is `(image, target)`: image [3, H, W] uint8 RGB, and target with `label`
    int64 [], from 0 in the alphabetical order of the folders (ImageNet's), and `image_id` int64 [], which is the index.

    What a transform draws is a function of `(seed, epoch, index)`, the same in any worker and on any rank;
    `set_epoch` must be called before each epoch. Files that turn out broken when they are read are dealt with as in
    `DetectionDataset`.

    Args:
        root: the folder of the folders.
        transform: builds the transform, uint8 [3, H, W] to [3, height, width], for `(height, width)`.
        train: whether it is for training, where under "skip" another image takes the place of one that cannot be read.
        on_bad_data: what happens to bad items, see `mvdet.data.io.faults`.
        size: `(height, width)` of the images that an index alone gives.
        seed: of the transforms, 0 or more.
        check_files: look at every image file now, at its header and its end. Without it, broken ones are met when they
            are read.

    Attributes:
        class_names: the folders' names.
        records: path, label and index of each image.

    Raises:
        FileNotFoundError: no such folder, no folder in it, or a class without images; names it.
        ValueError: bad items under "error"; nothing usable; a size or seed out of range.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        transform: Callable[[int, int], Transform],
        train: bool = False,
        on_bad_data: BadDataPolicy = DEFAULT_POLICY,
        size: Size = (256, 256),
        seed: int = 0,
        check_files: bool = True,
    ) -> None:
        root = Path(root)
        if not root.is_dir():
            raise FileNotFoundError(f"no folder {root}; images lie in {root}/CLASS/")
        files = _files_of_classes(root)
        super().__init__(BadData(root, on_bad_data), train=train, transform=transform, size=size, seed=seed)
        self.class_names = tuple(files)
        labelled = [(file, label) for label, found in enumerate(files.values()) for file in found]
        records = [LabelledImage(str(file), label, number) for number, (file, label) in enumerate(labelled)]
        if check_files:
            good = with_good_files(records, _check_header, self.bad_data)
            records = [record._replace(image_id=number) for number, record in enumerate(good)]
        self._use(records)

    def __getitem__(self, item: int | tuple[int, int, int]) -> Sample:
        """A sample; see the class.

        Raises:
            IndexError: no such index.
            ValueError: the image cannot be read and nothing may take its place; names the file.
        """
        size, index = self._size_and_index(item)
        record, image = self._read(index)
        with torch.random.fork_rng(devices=[]):  # torchvision's transforms draw from the global generator
            torch.manual_seed(int(self._seeds(index).generate_state(1, np.uint64)[0]))
            pixels = self._transform_for(size)(torch.from_numpy(image).permute(2, 0, 1))  # [H, W, 3] -> [3, H, W]
        return pixels.contiguous(), {"label": torch.tensor(record.label), "image_id": torch.tensor(record.image_id)}

    def _load(self, record: LabelledImage) -> NDArray[np.uint8]:
        return read_image(record.file)


def _files_of_classes(root: Path) -> dict[str, list[Path]]:
    """The images of each class, both in alphabetical order; raises FileNotFoundError for none."""
    names = sorted(path.name for path in root.iterdir() if path.is_dir() and not is_hidden(path.name))
    if not names:
        raise FileNotFoundError(f"no folder in {root}; images lie in {root}/CLASS/")
    files = {name: visible_files(root / name, IMAGE_SUFFIXES) for name in names}
    if empty := [name for name, found in files.items() if not found]:
        raise FileNotFoundError(
            f"{root}: no image in the folders of the classes {', '.join(empty)}; "
            f"looked for files ending in {', '.join(IMAGE_SUFFIXES)}"
        )
    return files


def _check_header(record: LabelledImage) -> None:
    check_header(record.file)


def stack_labels(targets: Sequence[Target]) -> Tensor:
    """The labels of a batch's targets as one tensor [B] int64."""
    return torch.stack([target["label"] for target in targets])
