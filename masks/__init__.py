"""Attention masks from measured similarity: the spec, the rules that derive one, the reference, costs, tiles.

Runs without torch.
"""
