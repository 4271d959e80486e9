"""`shapes`: a data set that is generated, so that everything can be tried and tested without a download."""

from mvdet.data.shapes.dataset import generate, generate_classification, generate_semantic

__all__ = ["generate", "generate_classification", "generate_semantic"]
