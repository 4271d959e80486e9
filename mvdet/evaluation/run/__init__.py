"""A model over a data set, one task a file."""
