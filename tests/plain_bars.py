"""Slow and obvious: the bars of a piece by its time signatures, on exact fractions of a tick."""

import math
from bisect import bisect_right
from fractions import Fraction
from typing import NamedTuple


class Region(NamedTuple):
    """Bars of one time signature."""

    tick: int
    numerator: int
    denominator: int
    first_bar: int
    """Number of its first bar."""


class Grid:
    """The bars so far. Before the first signature they are 4/4."""

    def __init__(self, ticks_per_quarter: int) -> None:
        self.ticks_per_quarter = ticks_per_quarter
        self.tolerance = ticks_per_quarter // 24
        """Half a step of a twelfth of a quarter."""
        self.regions = [Region(0, 4, 4, 0)]
        self.moved = 0
        """Signatures that moved to a bar line."""
        self.inside = 0
        """Signatures said again inside a bar."""
        self.stated = False
        """Whether a signature was given; until then 4/4 is only taken."""

    def bar_ticks(self, region: Region) -> Fraction:
        return Fraction(4 * self.ticks_per_quarter * region.numerator, region.denominator)

    def line(self, region: Region, bars: int) -> int:
        """The bar line so many bars into a region: the first whole tick of its bar."""
        return region.tick + math.ceil(bars * self.bar_ticks(region))

    def add(self, tick: int, numerator: int, denominator: int) -> None:
        """A time signature, in order of their ticks. One that is in force already changes nothing; one beside a bar line,
        by at most the tolerance, moves to it; another one, and the first of a file whatever it says, cuts the bar."""
        last = self.regions[-1]
        bars = max(math.floor((tick - last.tick) / self.bar_ticks(last)), 0)
        nearest = min((bars + 1, bars), key=lambda bar: abs(tick - self.line(last, bar)))  # equally near: the later
        beside = abs(tick - self.line(last, nearest)) <= self.tolerance
        first, self.stated = not self.stated, True
        if (numerator, denominator) == (last.numerator, last.denominator) and (beside or not first):
            self.inside += not beside
            return
        if beside:
            self.moved += tick != self.line(last, nearest)
            tick, bars = self.line(last, nearest), nearest
        else:
            bars += 1
        if tick == last.tick:
            self.regions.pop()
            if self.regions and self.regions[-1][1:3] == (numerator, denominator):
                return
        self.regions.append(Region(tick, numerator, denominator, last.first_bar + bars))

    def bar_of(self, tick: int) -> int:
        """The bar that holds a tick."""
        region = self.regions[bisect_right(self.regions, tick, key=lambda region: region.tick) - 1]
        return region.first_bar + (tick - region.tick) * region.denominator // (
            4 * self.ticks_per_quarter * region.numerator
        )

    def bar_of_note(self, tick: int) -> int:
        """The bar of a note struck at a tick: just before a bar line it belongs to the bar that opens there."""
        return self.bar_of(tick + self.tolerance)


def grid_of(
    signatures: list[tuple[int, int, int]], ticks_per_quarter: int, meter: tuple[int, int] | None = None
) -> Grid:
    """The bars of (tick, numerator, denominator) of different ticks.

    A meter takes the place of all.
    """
    grid = Grid(ticks_per_quarter)
    if meter:
        signatures = [(0, *meter)]
    for tick, *signature in sorted(signatures):
        grid.add(tick, *signature)
    return grid
