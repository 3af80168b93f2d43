"""Reads MIDI and measures how alike bars are. Knows nothing of masks, models or the command line, and runs without torch."""
