"""What is compared of a cell: one function a measure, from the notes of the cells to what lies in each.

Each returns the different contents that occur (D of them) and which of them each cell has, so that equal bars are compared
once.
"""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.cells import Cells


@dataclass(frozen=True, kw_only=True, eq=False)
class Sets:
    """D sets of items, none of them empty."""

    first: Ints
    """(D + 1,) where each set begins in `item`."""

    item: Ints
    """The items of the first set, of the second, …; each once a set, 0 .. n_items - 1."""

    n_items: int

    def __len__(self) -> int:
        return len(self.first) - 1

    def __getitem__(self, which: Ints) -> "Sets":
        """Some of the sets, by index, as an array of histograms gives some of its rows."""
        size = np.diff(self.first)[which]
        first = np.concatenate([[0], np.cumsum(size)])
        place = np.arange(first[-1]) - np.repeat(first[:-1] - self.first[which], size)
        return Sets(first=first, item=self.item[place], n_items=self.n_items)


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Different contents of cells, and who has which."""

    items: "Floats | Sets"
    """D sets, or (D, items) weights of histograms."""

    of_cell: Ints
    """(C,) index into `items`."""


def pitch_classes(cells: Cells) -> Contents:
    """The set of pitch classes struck (0 = C): the founding diary's bars."""
    return _sets(cells.note_cell, cells.pitch % 12, len(cells), 12)


def pitch_class_weights(cells: Cells) -> Contents:
    """Ticks that each pitch class is held, counted to the note's end also where that lies in a later bar.

    A note of no length counts one tick.
    """
    from analysis.cell_loops import number_keys

    ticks = np.maximum(cells.duration_tick, 1).astype(np.float64)
    weights = np.bincount(cells.note_cell * 12 + cells.pitch % 12, weights=ticks, minlength=len(cells) * 12)
    held = np.flatnonzero(weights)
    item, n_items = number_keys(weights[held].astype(np.int64) * 12 + held % 12)
    of_cell = _sets(held // 12, item, len(cells), n_items).of_cell
    which = np.zeros(int(of_cell.max(initial=-1)) + 1, dtype=np.int64)
    which[of_cell] = np.arange(len(cells))
    return Contents(items=np.asarray(weights, dtype=np.float64).reshape(-1, 12)[which], of_cell=of_cell)


def notes(cells: Cells) -> Contents:
    """The set of (pitch, onset in the bar, duration), in steps of 12 a quarter.

    Source: Museformer (Yu et al., NeurIPS 2022), section 5; its grid is its tokens', ours is the rows'.
    """
    from analysis.cell_loops import number_keys

    item, n_items = number_keys((cells.duration_step << 21) | (cells.onset_step << 7) | cells.pitch)
    return _sets(cells.note_cell, item, len(cells), n_items)


def onsets(cells: Cells) -> Contents:
    """The set of steps at which anything starts, 12 a quarter: rhythm alone, so it fits drums too."""
    return _sets(cells.note_cell, cells.onset_step, len(cells), int(cells.onset_step.max(initial=0)) + 1)


def _sets(cell: Ints, item: Ints, n_cells: int, n_items: int) -> Contents:
    """The different sets of items that cells hold, of (N,) items in the cells (N,)."""
    from analysis.cell_loops import different_sets

    first, items, of_cell = different_sets(cell, item, n_cells, n_items)
    return Contents(items=Sets(first=first, item=items, n_items=n_items), of_cell=of_cell)
