"""Rows: a piece as the model reads it, one row a step. A header row opens a bar; a note row is one note."""
