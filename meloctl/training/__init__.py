"""Fits a model to rows."""
