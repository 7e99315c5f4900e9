"""Scores, their intervals, and the analysis of errors."""
