"""The model and its input: encoder, heads, batches of subwords."""
