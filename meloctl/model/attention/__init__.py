"""Attention under a plan: one protocol, a dense reference, gates, and a folder for each backend."""
