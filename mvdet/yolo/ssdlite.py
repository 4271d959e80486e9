"""The module behind `[[1, 2], 1, SSDLiteDetect, [nc]]`. Its path is part of every checkpoint: it stays."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from ultralytics.nn.modules.head import Detect

from mvdet.backbones.tokens import exporting
from mvdet.detection.anchors import AnchorGenerator
from mvdet.detection.box_coder import BoxCoder
from mvdet.heads.ssdlite import BOX_OFFSETS, SSDLiteHead, level_sizes

REFUSED_FORMATS = ("edgetpu", "imx")
"""Export formats for which ultralytics puts decoding of its own into every `Detect`."""

SCORE_THRESHOLD = 0.01
"""That of the published evaluation, as in `mvdet.models.SSDLite`. `yolo val` asks for 0.001, above which a softmax
leaves nearly every class of every anchor: ultralytics' NMS would run out of time and leave images without boxes."""

COARSEST_NORMALISED = 8
"""The stride of the coarsest level with batch normalisation, relative to that of the deepest map."""

Predictions = dict[str, Any]


@cache
def _parts() -> tuple[AnchorGenerator, BoxCoder]:
    """SSD's anchors and box coding, which hold nothing but numbers.

    Made once there is a head, and on the CPU: never inside a graph that is recorded, nor on a device that is set.
    """
    with torch.device("cpu"):
        return AnchorGenerator(), BoxCoder()


class SSDLiteDetect(Detect):
    """`mvdet.heads.SSDLiteHead` as the last row of an ultralytics model definition.

    A `Detect` by type, which is how ultralytics knows a head that it asks for its strides, tells of an export and
    applies its NMS to; of YOLO's own layers it has none. Logits count the background as class 0; it is dropped from
    the scores, so that they are those of ultralytics' classes.

    Image sides are taken to be multiples of the deepest map's stride, as ultralytics makes them.

    Args:
        nc: classes, background not included.
        channels: of the two maps that the head reads, finer first.

    Raises:
        ValueError: unless there are two maps and at least one class.
    """

    cv2 = cv3 = ()  # YOLO's branches, which ultralytics looks for in every `Detect`
    shape: list[tuple[int, int]] | None  # of the maps that `_anchors` are for; ultralytics sets it to None
    # Not `anchors`, which ultralytics rounds with the weights, to half precision and back
    _anchors: Tensor | None = None

    def __init__(self, nc: int, channels: Sequence[int]) -> None:
        nn.Module.__init__(self)  # `Detect`'s own would build YOLO's branches
        self.nc = nc
        self.nl = len(channels)
        self.stride = torch.zeros(self.nl)  # found when the model is built
        anchor_generator, _ = _parts()
        self.head = SSDLiteHead(channels, nc + 1, anchor_generator.num_anchors)
        self.no = BOX_OFFSETS + self.head.num_classes

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"shape": None, "_anchors": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        _parts()

    def forward(self, maps: list[Tensor]) -> Predictions | Tensor | tuple[Tensor, Predictions]:
        """Two maps [B, C, H, W] -> what the loss needs, and detections for NMS.

        Returns:
            In training a dict: `cls_logits` [B, N, 1 + nc], `bbox_regression` [B, N, 4], `anchors` [N, 4] as
            `AnchorGenerator` gives them, and `feats`, the maps. Otherwise detections [B, 4 + nc, N], float32, with
            boxes cxcywh (xyxy where `xyxy` is set) in pixels and scores in 0..1, 0 unless above `SCORE_THRESHOLD`, and
            the dict, which then has `scores` [B, nc, N] too, the classes' log-odds against the background; in an export
            the detections alone.

        Raises:
            ValueError: in an export to one of `REFUSED_FORMATS`; for a training batch that cannot be normalised.
        """
        if self.export and self.format in REFUSED_FORMATS:
            raise ValueError(f"SSDLite cannot be exported to {self.format}: use onnx, torchscript, openvino or others")
        height, width = maps[-1].shape[-2:]
        if self.head.training and len(maps[-1]) == 1 and max(height, width) <= COARSEST_NORMALISED:
            raise ValueError(
                f"a training batch of one image with a deepest map of {height} x {width} cannot be normalised, for the "
                "coarsest has one value a channel; choose a batch size that leaves no single image at the end, or an "
                "imgsz above 256"
            )
        predictions: Predictions = self.head(maps) | {"anchors": self._anchors_of(maps), "feats": maps}
        if self.training:
            return predictions
        detections = self._inference(predictions)
        if self.export:
            return detections
        logits = predictions["cls_logits"]
        return detections, predictions | {"scores": (logits[..., 1:] - logits[..., :1]).transpose(1, 2)}

    def bias_init(self) -> None:
        """Nothing: `SSDLiteHead` has its first weights already."""

    def fuse(self) -> None:
        """Fold batch normalisation into the convolutions, for inference."""
        self.head.fuse()

    def _inference(self, predictions: Predictions) -> Tensor:
        _, box_coder = _parts()
        boxes = box_coder.decode(predictions["bbox_regression"], predictions["anchors"])  # xyxy, relative
        if not self.xyxy:
            low, high = torch.split(boxes, 2, dim=-1)
            boxes = torch.cat([(low + high) / 2, high - low], dim=-1)
        # A stack of tensors, not a tensor of numbers: an exported graph keeps the size dynamic.
        height, width = (side * self.stride[-1].float() for side in predictions["feats"][-1].shape[-2:])
        boxes = boxes * torch.stack([width, height, width, height]).to(boxes.device)
        scores = predictions["cls_logits"].float().softmax(dim=-1)[..., 1:]
        scores = torch.where(scores > SCORE_THRESHOLD, scores, 0.0)
        return torch.cat([boxes, scores], dim=-1).transpose(1, 2)  # [B, N, 4 + nc] -> [B, 4 + nc, N]

    def _anchors_of(self, maps: Sequence[Tensor]) -> Tensor:
        """Anchors [N, 4] of the maps' sizes; kept until another size comes, as `Detect` keeps its own."""
        sizes = [(x.shape[-2], x.shape[-1]) for x in maps]
        if not self.dynamic:
            sizes = [(int(height), int(width)) for height, width in sizes]
        device = maps[0].device
        if self._anchors is not None and self._anchors.device == device and self.shape == sizes and not self.dynamic:
            return self._anchors
        anchor_generator, _ = _parts()
        anchors: Tensor = anchor_generator(level_sizes(sizes), device)
        if not exporting():  # then they are part of the graph
            self._anchors, self.shape = anchors, sizes
        return anchors
