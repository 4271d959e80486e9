"""What can be said of a data set before anything learns from it: counts, what makes learning impossible, suspicions."""
