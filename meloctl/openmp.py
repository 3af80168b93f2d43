"""The environment of OpenMP, whose threads compute torch's products; it is read once, when torch is imported."""

import os

_SPINS = "1000"
"""Turns of GNU OpenMP's waiting loop, some 20 µs, after which a thread that waits for the others sleeps."""


def limit_spinning() -> None:
    """Let threads that wait for each other sleep soon, unless the environment says otherwise; call it before torch is imported.

    GNU OpenMP's own limit is 300,000 turns, milliseconds. Where other programs take the cores, a thread then spins on the very
    core for which its partner waits, at each of thousands of barriers of a training step (figures in docs/benchmarks.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
