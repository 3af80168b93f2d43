"""MeloFormer: rows under a mask, with one summary vector a bar."""
