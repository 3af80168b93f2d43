"""Rows: one step of the model each. A header row opens a bar; every other row is one note."""
