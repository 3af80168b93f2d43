"""The Music Transformer on rows: relative attention, every earlier row seen."""
