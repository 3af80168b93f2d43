"""Writes music with a trained model."""
