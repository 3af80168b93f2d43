"""meloctl: rows, models, training, generation and the command line, on top of `analysis` and `masks`."""

__version__ = "0.1.0"
