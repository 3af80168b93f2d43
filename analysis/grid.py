"""The grid on which onsets and durations are compared, 12 steps a quarter note: sixteenths and triplets lie on it."""

from analysis.arrays import Ints

STEPS_PER_QUARTER = 12


def nearest_step(ticks: Ints, ticks_per_quarter: int, *, steps_per_quarter: int = STEPS_PER_QUARTER) -> Ints:
    """The grid step nearest to each time, halves up, in whole numbers: (…) ticks → (…) steps."""
    return (2 * steps_per_quarter * ticks + ticks_per_quarter) // (2 * ticks_per_quarter)
