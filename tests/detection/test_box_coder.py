import torch
from torchvision.models.detection._utils import BoxCoder as TorchvisionCoder
from torchvision.ops import box_convert

from mvdet.detection import BoxCoder


def boxes(count: int) -> torch.Tensor:
    return torch.cat([torch.rand(count, 2), 0.05 + torch.rand(count, 2)], dim=1)  # cxcywh


def test_decoding_undoes_encoding() -> None:
    wanted, anchors = boxes(50).double(), boxes(50).double()
    decoded = BoxCoder().decode(BoxCoder().encode(wanted, anchors), anchors)
    torch.testing.assert_close(decoded, box_convert(wanted, "cxcywh", "xyxy"), rtol=1e-5, atol=1e-6)


def test_torchvision_codes_alike() -> None:
    wanted, anchors = boxes(50), boxes(50)
    theirs = TorchvisionCoder(weights=(10.0, 10.0, 5.0, 5.0))
    corners = [box_convert(b, "cxcywh", "xyxy") for b in (wanted, anchors)]
    torch.testing.assert_close(BoxCoder().encode(wanted, anchors), theirs.encode_single(*corners), rtol=1e-4, atol=1e-4)


def test_half_precision_offsets_do_not_overflow() -> None:
    offsets = torch.full((1, 4), 60.0, dtype=torch.float16)  # exp(12) is beyond half precision
    assert BoxCoder().decode(offsets, boxes(1)).isfinite().all()
