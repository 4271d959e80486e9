"""Backbone and head put together."""

from mvdet.models.classifier import MobileViTClassifier
from mvdet.models.registry import create_model, list_models
from mvdet.models.ssdlite import SSDLite

__all__ = ["MobileViTClassifier", "SSDLite", "create_model", "list_models"]
