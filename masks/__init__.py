"""Attention masks from measured similarity: the spec, the rules that derive it, and the reference that defines it. Runs without torch."""
