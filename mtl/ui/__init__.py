"""The page. Nothing here computes."""
