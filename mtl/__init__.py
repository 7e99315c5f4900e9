"""MTL Studio: one shared transformer encoder, one head per task, trained live on your own text."""
