"""`shapes` as ultralytics' `semantic` task reads it: a mask of class numbers beside every image.

    ROOT/images/{train,val}/SPLIT_00000.jpg    those of `mvdet.data.shapes`
    ROOT/masks/{train,val}/SPLIT_00000.png     grey: 0 background, i + 1 for class i, as in its VOC/SegmentationClass

A folder of its own: in that of `shapes`, ultralytics would take `masks` for the labels of cfg/datasets/shapes.yaml,
whose names have no background. Grey, because ultralytics before 8.4.190 reads a palette's colours for class numbers.
"""

from pathlib import Path

from PIL import Image as PilImage

from mvdet.data.build import build_dataset
from mvdet.data.instances import class_mask
from mvdet.data.shapes import CLASSES, SPLITS, VERSION, render

SEMANTIC_CLASSES = ("background", *CLASSES)

_JPEG_QUALITY = 95


def generate_semantic(root: str | Path, *, num_train: int = 400, num_val: int = 100, seed: int = 0) -> Path:
    """Write the data set, unless `root` holds it already.

    Args:
        root: the folder to create.
        num_train, num_val: number of pictures, 1 or more.
        seed: of the pictures, 0 or more.

    Returns:
        The absolute path of `root`.

    Raises:
        FileExistsError: `root` holds something else, or was generated with other settings.
        RuntimeError: `root` was generated, but files have gone since.
        ValueError: an argument is out of range.
    """
    if min(num_train, num_val) < 1:
        raise ValueError(f"num_train and num_val must be at least 1, got {num_train} and {num_val}")
    counts = dict(zip(SPLITS, (num_train, num_val), strict=True))
    settings = {"dataset": "shapes-semantic", "version": VERSION, "seed": seed, **counts}
    root = Path(root).expanduser().resolve()
    build_dataset(root, settings, lambda folder: _write(folder, counts, seed))
    return root


def _write(root: Path, counts: dict[str, int], seed: int) -> dict[str, int]:
    for split, count in counts.items():
        images, masks = root / "images" / split, root / "masks" / split
        images.mkdir(parents=True)
        masks.mkdir(parents=True)
        for index in range(count):
            picture, instances = render(index, split=split, seed=seed)
            height, width, _ = picture.shape
            PilImage.fromarray(picture).save(images / f"{split}_{index:05d}.jpg", quality=_JPEG_QUALITY)
            mask = class_mask(instances, height, width)
            PilImage.fromarray(mask).save(masks / f"{split}_{index:05d}.png")
    return counts
