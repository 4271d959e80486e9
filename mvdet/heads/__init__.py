"""Heads as plain modules: tensors in, tensors out."""

from mvdet.heads.ssdlite import SSDLiteHead

__all__ = ["SSDLiteHead"]
