"""Heads as plain modules: tensors in, tensors out."""

from mvdet.heads.deeplabv3 import ASPP, AuxiliaryHead, DeepLabV3Head
from mvdet.heads.ssdlite import SSDLiteHead

__all__ = ["ASPP", "AuxiliaryHead", "DeepLabV3Head", "SSDLiteHead"]
