"""Published weights into mvdet's networks."""

from mvdet.checkpoints.convert import convert_state_dict
from mvdet.checkpoints.load import load_weights, read_state_dict, read_weights

__all__ = ["convert_state_dict", "load_weights", "read_state_dict", "read_weights"]
