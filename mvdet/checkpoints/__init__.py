"""Published weights into mvdet's networks, and back into those of others."""

from mvdet.checkpoints.convert import convert_state_dict, export_state_dict
from mvdet.checkpoints.reading import read_state_dict
from mvdet.checkpoints.weights import Weights, describe_weights, load_weights, open_weights, read_weights

__all__ = [
    "Weights",
    "convert_state_dict",
    "describe_weights",
    "export_state_dict",
    "load_weights",
    "open_weights",
    "read_state_dict",
    "read_weights",
]
