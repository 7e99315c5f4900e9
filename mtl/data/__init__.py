"""Files and Hub datasets become rows, checked and split. Knows no model."""
