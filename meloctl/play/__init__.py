"""A piece as a page that shows and plays it."""
