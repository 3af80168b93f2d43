"""Corpora: checked before training, taken out of music21, or composed."""
