"""What is compared of a cell: one function a measure, from the notes of the cells to what lies in each.

Each returns the different contents that occur (D of them) and which of them each cell has, so that equal bars are compared
once.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from analysis.arrays import Floats, Ints
from analysis.cells import Cells


@dataclass(frozen=True, kw_only=True)
class Contents:
    """Different contents of cells, and who has which."""

    items: "Floats | csr_array"
    """(D, items) what lies in each: 1 or 0 for sets, weights for histograms."""

    of_cell: Ints
    """(C,) index into `items`."""


def pitch_classes(cells: Cells) -> Contents:
    """The set of pitch classes struck (0 = C): the founding diary's bars."""
    bits = _present(cells.note_cell, cells.pitch % 12, len(cells), 12) @ _BITS
    code = bits.astype(np.int64)
    there = np.zeros(4096, dtype=np.bool_)
    there[code] = True
    sets = np.flatnonzero(there)
    return Contents(items=(sets[:, None] >> np.arange(12) & 1).astype(np.float64), of_cell=(np.cumsum(there) - 1)[code])


def pitch_class_weights(cells: Cells) -> Contents:
    """Ticks that each pitch class is held, counted to the note's end also where that lies in a later bar.

    A note of no length counts one tick.
    """
    ticks = np.maximum(cells.duration_tick, 1).astype(np.float64)
    weights = np.bincount(cells.note_cell * 12 + cells.pitch % 12, weights=ticks, minlength=len(cells) * 12)
    return _different(np.asarray(weights, dtype=np.float64).reshape(-1, 12))


def notes(cells: Cells) -> Contents:
    """The set of (pitch, onset in the bar, duration), in steps of 12 a quarter.

    Source: Museformer (Yu et al., NeurIPS 2022), section 5; its grid is its tokens', ours is the rows'.
    """
    key = (cells.duration_step << 20) | (cells.onset_step << 7) | cells.pitch
    kinds, item = np.unique(key, return_inverse=True)
    return _sets(cells, item, len(kinds))


def onsets(cells: Cells) -> Contents:
    """The set of steps at which anything starts, 12 a quarter: rhythm alone, so it fits drums too."""
    return _sets(cells, cells.onset_step, int(cells.onset_step.max(initial=0)) + 1)


def _sets(cells: Cells, item: Ints, n_items: int) -> Contents:
    """Each cell's set of items, held sparsely: a piece may have very many of either."""
    pairs = np.unique(cells.note_cell * n_items + item)
    first = np.searchsorted(pairs, np.arange(len(cells) + 1) * n_items)
    items = pairs % max(n_items, 1)
    of_cell, which = _first_of_each([items[a:b].tobytes() for a, b in pairwise(first.tolist())])
    there = csr_array((np.ones(len(items)), items, first), shape=(len(cells), n_items))
    return Contents(items=there[which], of_cell=of_cell)


_BITS = 2.0 ** np.arange(12)


def _present(cell: Ints, item: Ints, n_cells: int, n_items: int) -> Floats:
    """(n_cells, n_items) 1 where an item lies in a cell."""
    there = np.zeros(n_cells * n_items)
    there[cell * n_items + item] = 1
    return there.reshape(n_cells, n_items)


def _different(items: Floats) -> Contents:
    """The different rows of (C, items), and which of them each cell has."""
    of_cell, which = _first_of_each([row.tobytes() for row in items])
    return Contents(items=items[which], of_cell=of_cell)


def _first_of_each(keys: list[bytes]) -> tuple[Ints, Ints]:
    """Each key's number in order of appearance, and where each number appears first."""
    numbers: dict[bytes, int] = {}
    which: list[int] = []
    of_cell = np.empty(len(keys), dtype=np.int64)
    for i, key in enumerate(keys):
        number = numbers.setdefault(key, len(which))
        if number == len(which):
            which.append(i)
        of_cell[i] = number
    return of_cell, np.array(which, dtype=np.int64)
