"""What leaves a run's folder: the starter model and its card."""
