"""MeloFormer: a decoder over rows and bar summaries, under a mask."""
