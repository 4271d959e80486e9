"""Backbone and head put together."""

from mvdet.models.classifier import MobileViTClassifier
from mvdet.models.registry import create_model, list_models

__all__ = ["MobileViTClassifier", "create_model", "list_models"]
