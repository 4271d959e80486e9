"""Albumentations transforms for training and evaluating detectors.

The published recipe of SSDLite-MobileViT (Apple's ml-cvnets, `data/datasets/detection/coco_ssd.py`): SSD's sample crop,
photometric distortion, horizontal flip, plain resize.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mvdet.data.datasets.detection import OBJECT_INDEX
from mvdet.data.transforms.image import (
    A,
    AntialiasedResize,
    BaseCrop,
    PhotometricDistortion,
    Range,
    Targets,
    check_range,
)

_WHOLE_PICTURE = 1.0
"""As in torchvision's `RandomIoUCrop`: the option that leaves the picture whole."""

_MIN_TRAINING_SIDE = 0.5
"""In pixels of the network's input: nothing can be learnt from less, and the logarithm of its size is an outlier."""


class SampleCrop(BaseCrop):
    """SSD's random crop (Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.2).

    One option is drawn: the whole picture, or a crop whose IoU with at least one object is 0 (any), 0.1, 0.3, 0.5, 0.7
    or 0.9 at least. For a crop, up to `trials` windows are drawn; if none fits, another option is. Objects whose centre
    lies in the window are kept, clipped to it; there is always one at least. A picture without objects stays whole.

    The values the paper leaves open are those of torchvision's `RandomIoUCrop` and of ml-cvnets' `SSDCroping`: sides of
    0.3 to 1 of the picture's (the paper says sizes of 0.1 to 1), 40 trials. IoU counts over objects inside, as in
    torchvision. ml-cvnets also refuses windows of less than 100 pixels a side, which sets of small pictures would not
    survive; it has no "any", torchvision and the paper have.

    Args:
        min_ious: the options; 1 stands for the whole picture.
        scale: least and greatest share of the picture's width, and of its height.
        aspect_ratio: least and greatest width / height of the window, in pixels.
        trials: windows tried for each option drawn.
        p: probability of the whole.

    Raises:
        ValueError: a range is out of order or out of bounds, no option, or no trial.
    """

    class InitSchema(A.BasicTransform.InitSchema):
        """albumentations looks up the valid arguments here."""

        min_ious: tuple[float, ...]
        scale: Range
        aspect_ratio: Range
        trials: int

    _ROUNDS = 50  # options drawn before the picture is left whole; so many in a row fail only where nothing can fit

    def __init__(
        self,
        min_ious: tuple[float, ...] = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, _WHOLE_PICTURE),
        scale: Range = (0.3, 1.0),
        aspect_ratio: Range = (0.5, 2.0),
        trials: int = 40,
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        if not min_ious or trials < 1:
            raise ValueError(f"min_ious and trials must be one at least, got {min_ious} and {trials}")
        self.min_ious = min_ious
        self.scale = check_range("scale", scale, 0, 1)
        self.aspect_ratio = check_range("aspect_ratio", aspect_ratio, 0)
        self.trials = trials

    @property
    def targets_as_params(self) -> list[str]:
        """Names of the targets that the window is chosen by; albumentations hands them to the method below."""
        return ["bboxes"]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the window: `crop_coords`, xyxy in pixels."""
        height, width = params["shape"][:2]
        boxes = data["bboxes"][:, :4] * np.array([width, height, width, height], dtype=np.float32)
        window = self._draw_window(height, width, boxes) if len(boxes) else None
        return {"crop_coords": window or (0, 0, width, height)}

    def apply_to_bboxes(
        self, bboxes: NDArray[np.float32], crop_coords: tuple[int, int, int, int], **params: Any
    ) -> NDArray[np.float32]:
        """Keep what has its centre in the window; [n, 4 + fields] normalised, to [m, 4 + fields]."""
        height, width = params["shape"][:2]
        if not len(bboxes) or crop_coords == (0, 0, width, height):
            return bboxes
        boxes = bboxes[:, :4] * np.array([width, height, width, height], dtype=np.float32)
        kept = _centres_inside(boxes, np.array([crop_coords]))[0]
        x1, y1, x2, y2 = crop_coords
        clipped = boxes[kept].clip((x1, y1, x1, y1), (x2, y2, x2, y2)) - np.array([x1, y1, x1, y1])
        clipped /= (x2 - x1, y2 - y1, x2 - x1, y2 - y1)
        return np.hstack([clipped, bboxes[kept, 4:]]).astype(np.float32)

    def _draw_window(self, height: int, width: int, boxes: NDArray[np.float32]) -> tuple[int, int, int, int] | None:
        """A window, xyxy in pixels, that holds one box's centre at least; None for the whole picture."""
        for _ in range(self._ROUNDS):
            min_iou = self.py_random.choice(self.min_ious)
            if min_iou >= _WHOLE_PICTURE:
                return None
            windows = self._windows(height, width)  # [trials, 4]
            inside = _centres_inside(boxes, windows)  # [trials, n]
            fits = np.where(inside, _ious(boxes, windows), -1.0).max(axis=1) >= min_iou
            sides = windows[:, 2:] - windows[:, :2]
            ratio = sides[:, 0] / sides[:, 1]
            fits &= (ratio >= self.aspect_ratio[0]) & (ratio <= self.aspect_ratio[1])
            if fits.any():
                x1, y1, x2, y2 = windows[fits.argmax()].tolist()
                return x1, y1, x2, y2
        return None

    def _windows(self, height: int, width: int) -> NDArray[np.int64]:
        """[trials, 4] windows inside the picture, xyxy in whole pixels."""
        picture = np.array([width, height])
        sides = np.maximum((picture * self.random_generator.uniform(*self.scale, (self.trials, 2))).astype(np.int64), 1)
        corners = ((picture - sides + 1) * self.random_generator.random((self.trials, 2))).astype(np.int64)
        return np.hstack([corners, corners + sides])


class ZoomOut(A.DualTransform):
    """SSD's expansion (Liu et al. 2016, section 3.6): puts the picture at a random place on a larger canvas.

    Args:
        scale: least and greatest factor of both sides; 1 to 4 in SSD's code, so up to 16 times the area.
        fill: RGB of the canvas, 0 to 255; SSD's mean colour (its code has it as BGR 104, 117, 123).
        p: probability of the whole.

    Raises:
        ValueError: the range is out of order or starts below 1.
    """

    class InitSchema(A.BasicTransform.InitSchema):
        """albumentations looks up the valid arguments here."""

        scale: Range
        fill: tuple[int, int, int]

    _targets = (Targets.IMAGE, Targets.BBOXES)

    def __init__(self, scale: Range = (1.0, 4.0), fill: tuple[int, int, int] = (123, 117, 104), p: float = 0.5) -> None:
        super().__init__(p=p)
        self.scale = check_range("scale", scale, 1)
        self.fill = fill

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Draw the canvas `(height, width)` and the picture's place on it, `(top, left)`, in pixels."""
        factor = self.py_random.uniform(*self.scale)
        canvas = tuple(int(side * factor) for side in params["shape"][:2])
        room = [outer - side for outer, side in zip(canvas, params["shape"][:2], strict=True)]
        return {"canvas": canvas, "place": tuple(self.py_random.randint(0, most) for most in room)}

    def apply(
        self, img: NDArray[np.uint8], canvas: tuple[int, int], place: tuple[int, int], **params: Any
    ) -> NDArray[np.uint8]:
        """Put a picture [H, W, 3] on its canvas, [canvas height, canvas width, 3]."""
        top, left = place
        height, width = img.shape[:2]
        result = np.full((*canvas, 3), self.fill, dtype=img.dtype)
        result[top : top + height, left : left + width] = img
        return result

    def apply_to_bboxes(
        self, bboxes: NDArray[np.float32], canvas: tuple[int, int], place: tuple[int, int], **params: Any
    ) -> NDArray[np.float32]:
        """Move boxes with their picture; [n, 4 + fields], normalised by the picture and then by the canvas."""
        if not len(bboxes):
            return bboxes
        height, width = params["shape"][:2]
        moved = bboxes.copy()
        moved[:, [0, 2]] = (bboxes[:, [0, 2]] * width + place[1]) / canvas[1]
        moved[:, [1, 3]] = (bboxes[:, [1, 3]] * height + place[0]) / canvas[0]
        return moved


def train_transform(
    height: int,
    width: int,
    *,
    sample_crop: bool = True,
    photometric: bool = True,
    flip: float = 0.5,
    zoom_out: bool = False,
) -> A.Compose:
    """The training transforms, for images that become `[height, width, 3]`.

    Called with `image`, `bboxes` (xyxy pixels) and `object_index`; see `compose` for what happens to boxes. Colours are
    distorted after the resize, where there are fewer pixels; ml-cvnets does it before.

    Args:
        height: of the result, in pixels; the aspect ratio is not kept.
        width: of the result, in pixels.
        sample_crop: `SampleCrop`.
        photometric: `PhotometricDistortion`.
        flip: probability of a horizontal flip.
        zoom_out: `ZoomOut`, with probability 0.5. SSD's code has it, the recipe of SSDLite-MobileViT has not.

    Raises:
        ValueError: `flip` is not in [0, 1], or a size is below 1.
    """
    if not 0 <= flip <= 1:
        raise ValueError(f"flip must be a probability, 0 to 1, got {flip}")
    steps: list[A.BasicTransform] = []
    if zoom_out:
        steps.append(ZoomOut())
    if sample_crop:
        steps.append(SampleCrop())
    steps.append(AntialiasedResize(height, width))
    if photometric:
        steps.append(PhotometricDistortion())
    steps.append(A.HorizontalFlip(p=flip))
    return compose(steps, min_side=_MIN_TRAINING_SIDE)


def eval_transform(height: int, width: int) -> A.Compose:
    """The plain resize to `[height, width, 3]`; called like `train_transform`'s. Boxes of any size are kept.

    Raises:
        ValueError: a size is below 1.
    """
    return compose([AntialiasedResize(height, width)])


def compose(steps: list[A.BasicTransform], *, min_side: float = 0.0) -> A.Compose:
    """Put transforms together so that boxes survive them as `DetectionDataset` expects.

    Boxes that reach out of the picture are clipped to it, before and after. Those that vanish, or have a side below
    `min_side` pixels in the end, are dropped together with their `object_index`.

    The result draws from a generator of its own, made here without a seed and copied into every worker; whoever calls
    it from workers must call `set_random_state` first, as `DetectionDataset` does for each sample. (`seed=` of
    albumentations would not do: workers would all repeat it, and every transform in it would draw the same numbers.)
    """
    boxes = A.BboxParams(
        "pascal_voc",
        label_fields=[OBJECT_INDEX],
        min_width=min_side,
        min_height=min_side,
        check_each_transform=False,
        clip=True,
        filter_invalid_bboxes=True,  # clip alone leaves boxes without area, and fails on them
    )
    return A.Compose(steps, bbox_params=boxes, strict=True)


def _centres_inside(boxes: NDArray[np.float32], windows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which boxes have their centre inside which windows, [windows, boxes]; both xyxy in pixels."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (centres[None] > windows[:, None, :2]) & (centres[None] < windows[:, None, 2:])  # [windows, boxes, 2]
    return np.asarray(inside.all(axis=2))


def _ious(boxes: NDArray[np.float32], windows: NDArray[np.int64]) -> NDArray[np.float64]:
    """IoU of every window with every box, [windows, boxes]; both xyxy in pixels."""
    sides = np.minimum(boxes[None, :, 2:], windows[:, None, 2:]) - np.maximum(boxes[None, :, :2], windows[:, None, :2])
    overlap = sides.clip(0).prod(axis=2)
    areas = [(corners[:, 2:] - corners[:, :2]).prod(axis=1) for corners in (windows, boxes)]
    return np.asarray(overlap / (areas[0][:, None] + areas[1][None] - overlap))
