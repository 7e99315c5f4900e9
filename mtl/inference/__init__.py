"""From texts to answers."""
