"""From rows to changed weights: which rows, which gradient, which step, and the loop around them."""
