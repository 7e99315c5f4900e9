"""What learns, and what it reads: the encoder, the heads on it, batches of subwords."""
