"""Tables, plots and pages of mistakes."""
