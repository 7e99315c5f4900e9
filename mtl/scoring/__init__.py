"""How good the answers are, and how sure that is."""
