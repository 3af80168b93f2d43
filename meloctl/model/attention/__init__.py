"""Attention under a plan: one protocol, a dense reference, and a backend in a folder each."""
