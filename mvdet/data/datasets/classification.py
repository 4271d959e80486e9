"""Images in folders, a folder for each class, as ImageNet lies on disk."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.datasets.folder import find_classes, make_dataset

from mvdet.data.io.images import IMAGE_SUFFIXES, BadImageError, read_image

Target = dict[str, Tensor]
Size = tuple[int, int]
Transform = Callable[[Tensor], Tensor]


class ClassificationDataset(Dataset[tuple[Tensor, Target]]):
    """Images with one label each: ROOT/CLASS/any/depth/IMAGE.

    `dataset[index]` gives an image at the default size, `dataset[height, width, index]` one at that size, which is what
    a multi-scale sampler asks for. A sample is `(image, target)`: image [3, H, W] uint8 RGB, and target with `label`
    int64 [], from 0 in the alphabetical order of the folders (ImageNet's), and `image_id` int64 [], which is the index.

    What a transform draws is a function of `(seed, epoch, index)`, the same in any worker and on any rank;
    `set_epoch` must be called before each epoch.

    Args:
        root: the folder of the folders.
        transform: builds the transform, uint8 [3, H, W] to [3, height, width], for `(height, width)`.
        size: `(height, width)` of the images that an index alone gives.
        seed: of the transforms, 0 or more.

    Attributes:
        class_names: the folders' names.
        files: path and label of each image.

    Raises:
        FileNotFoundError: no such folder, no folder in it, or a class without images; names it.
    """

    def __init__(
        self, root: str | Path, *, transform: Callable[[int, int], Transform], size: Size = (256, 256), seed: int = 0
    ) -> None:
        root = Path(root)
        if not root.is_dir():
            raise FileNotFoundError(f"no folder {root}; images lie in {root}/CLASS/")
        names, labels = find_classes(root)
        self.class_names = tuple(names)
        self.files: list[tuple[str, int]] = make_dataset(root, labels, extensions=IMAGE_SUFFIXES)
        self.size = size
        self._transform = transform
        self._seed = seed
        self._transforms: dict[Size, Transform] = {}
        # In shared memory: workers, persistent ones too, see the epoch change
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, item: int | tuple[int, int, int]) -> tuple[Tensor, Target]:
        """A sample; see the class.

        Raises:
            IndexError: no such index.
            ValueError: the image is missing, no image, or cut short; names the file.
        """
        height, width, index = item if isinstance(item, tuple) else (*self.size, item)
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of a data set of {len(self)} images")
        file, label = self.files[index]
        try:
            image = read_image(file, upright=True)
        except BadImageError as error:
            raise ValueError(f"{error.fault}: {error}") from error
        if (height, width) not in self._transforms:
            self._transforms[height, width] = self._transform(height, width)
        seeds = np.random.SeedSequence([self._seed, int(self._epoch), index])
        with torch.random.fork_rng(devices=[]):  # torchvision's transforms draw from the global generator
            torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0]))
            # [H, W, 3] -> [3, H, W]
            pixels = self._transforms[height, width](torch.from_numpy(image).permute(2, 0, 1))
        return pixels.contiguous(), {"label": torch.tensor(label), "image_id": torch.tensor(index)}

    def with_transform(self, transform: Callable[[int, int], Transform], size: Size) -> ClassificationDataset:
        """The same images under another transform, at another default size."""
        other = copy.copy(self)
        other._transform, other._transforms, other.size = transform, {}, size
        return other

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that `seed` is combined with; workers that are running already follow."""
        self._epoch.fill_(epoch)


def stack_labels(targets: Sequence[dict[str, Any]]) -> Tensor:
    """[B] int64 of the targets of a batch."""
    return torch.stack([target["label"] for target in targets])
