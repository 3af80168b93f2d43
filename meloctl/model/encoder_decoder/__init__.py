"""An encoder–decoder on rows: a primer is read, its continuation written."""
