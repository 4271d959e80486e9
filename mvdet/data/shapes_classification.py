"""The single objects of `shapes`, cut out: images with one label each, so that classifiers can be tried offline."""

from pathlib import Path

from PIL import Image as PilImage

from mvdet.data.build import build_dataset
from mvdet.data.instances import Image
from mvdet.data.shapes import CLASSES, SPLITS, VERSION, render

_MARGIN = 0.15  # of the longer side, on each side of the object
_LEAST_SIDE = 32  # pixels: on fewer, a star cannot be told from a circle
_JPEG_QUALITY = 95


def generate_classification(root: str | Path, *, num_train: int = 400, num_val: int = 100, seed: int = 0) -> Path:
    """Write the data set in ImageNet's layout, ROOT/{train,val}/CLASS/IMAGE.jpg, unless `root` holds it already.

    Each object of 32 pixels or more in the pictures of `mvdet.data.shapes` becomes an image: the square around it with
    a margin of 15%, as far as the picture reaches. Of the default numbers, these are 1,318 and 329 images.

    Args:
        root: the folder to create.
        num_train, num_val: number of pictures that objects are cut from, 1 or more.
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
    settings = {"dataset": "shapes-classification", "version": VERSION, "seed": seed, **counts}
    root = Path(root).expanduser().resolve()
    build_dataset(root, settings, lambda folder: _write(folder, counts, seed))
    return root


def _write(root: Path, counts: dict[str, int], seed: int) -> dict[str, int]:
    written = dict.fromkeys(counts, 0)
    for split, count in counts.items():
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
        for index in range(count):
            picture, instances = render(index, split=split, seed=seed)
            for number, instance in enumerate(instances):
                x1, y1, x2, y2 = instance.box
                if max(x2 - x1, y2 - y1) >= _LEAST_SIDE:
                    file = root / split / CLASSES[instance.label] / f"{split}_{index:05d}_{number}.jpg"
                    PilImage.fromarray(_cut(picture, instance.box)).save(file, quality=_JPEG_QUALITY)
                    written[split] += 1
    return written


def _cut(picture: Image, box: tuple[int, int, int, int]) -> Image:
    """The square with the margin around a box, as far as the picture [H, W, 3] reaches."""
    x1, y1, x2, y2 = box
    half = round(max(x2 - x1, y2 - y1) * (0.5 + _MARGIN))
    x, y = (x1 + x2) // 2, (y1 + y2) // 2
    return picture[max(0, y - half) : y + half, max(0, x - half) : x + half]
