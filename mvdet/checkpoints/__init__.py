"""Published weights into mvdet's networks, and back into those of others."""

from mvdet.checkpoints.convert import convert_state_dict, export_state_dict
from mvdet.checkpoints.describe import describe_weights
from mvdet.checkpoints.load import load_weights, read_weights
from mvdet.checkpoints.reading import read_state_dict

__all__ = [
    "convert_state_dict",
    "describe_weights",
    "export_state_dict",
    "load_weights",
    "read_state_dict",
    "read_weights",
]
