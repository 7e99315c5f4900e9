"""A run is a folder: its settings, the log of what happened, its checkpoints. Knows no training."""
