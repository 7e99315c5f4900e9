"""From rows to changed weights: sampling, balancing, one optimizer step, and the training loop."""
