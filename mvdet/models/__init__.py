"""Backbone and head put together."""

from mvdet.models.classifier import MobileViTClassifier
from mvdet.models.deeplabv3 import DeepLabV3
from mvdet.models.registry import create_model, list_models
from mvdet.models.ssdlite import SSDLite

__all__ = ["DeepLabV3", "MobileViTClassifier", "SSDLite", "create_model", "list_models"]
