"""What PyTorch Lightning does not bring: the tasks, their data, their recipes."""
