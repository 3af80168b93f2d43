"""Judging music: sets of pieces against a reference, and what held-out music costs a model."""
