"""Attention masks from measured similarity: the spec, the rule that derives it, the reference that defines it.

Runs without torch.
"""
