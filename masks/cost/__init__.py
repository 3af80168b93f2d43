"""Costs of a mask in pairs of rows and in blocks, and the share of the measured similarity that it shows."""
