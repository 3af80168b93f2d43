"""Compiled loops over notes: which cell each lies in, and which cells hold the same.

N notes, C cells, P parts, D different contents. Every loop takes time in proportion to the notes, whatever they are.
"""

import numpy as np

from analysis.arrays import Ints
from analysis.compiled import compiled


@compiled
def place_notes(bar: Ints, part: Ints, rank: Ints, n_bars: int, n_parts: int) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """The non-empty cells of a piece, by bar, then by rank of the part; and the notes that lie in them.

    Args:
        bar: (N,) bar of each note.
        part: (N,) part of each note.
        rank: (all parts,) place of each part in a bar, −1 for one that is left out.
        n_bars: bars of the piece.
        n_parts: parts that are not left out.

    Returns:
        (C,) bar and (C,) rank of each cell, (n_bars + 1,) first cell of each bar, (M,) the notes of parts that are not left
        out, and (M,) the cell of each.
    """
    cell = np.zeros(n_bars * n_parts, dtype=np.int64)
    kept = 0
    for i in range(len(bar)):
        r = rank[part[i]]
        if r >= 0:
            cell[bar[i] * n_parts + r] = 1
            kept += 1
    n_cells = cell.sum()
    cell_bar, cell_rank = np.empty(n_cells, dtype=np.int64), np.empty(n_cells, dtype=np.int64)
    first = np.empty(n_bars + 1, dtype=np.int64)
    n = 0
    for b in range(n_bars):
        first[b] = n
        for r in range(n_parts):
            if cell[b * n_parts + r]:
                cell[b * n_parts + r] = n
                cell_bar[n], cell_rank[n] = b, r
                n += 1
    first[n_bars] = n
    note, note_cell = np.empty(kept, dtype=np.int64), np.empty(kept, dtype=np.int64)
    n = 0
    for i in range(len(bar)):
        r = rank[part[i]]
        if r >= 0:
            note[n], note_cell[n] = i, cell[bar[i] * n_parts + r]
            n += 1
    return cell_bar, cell_rank, first, note, note_cell


@compiled
def number_keys(key: Ints) -> tuple[Ints, int]:
    """(N,) any numbers → (N,) 0, 1, … in order of appearance, equal for equal keys; and how many of them there are."""
    size = _table_size(len(key))
    slot, slot_key = np.full(size, -1, dtype=np.int64), np.empty(size, dtype=np.int64)
    number = np.empty(len(key), dtype=np.int64)
    n = 0
    for i in range(len(key)):
        at = _mixed(np.uint64(key[i])) & np.uint64(size - 1)
        while slot[at] >= 0 and slot_key[at] != key[i]:
            at = (at + np.uint64(1)) & np.uint64(size - 1)
        if slot[at] < 0:
            slot[at], slot_key[at] = n, key[i]
            n += 1
        number[i] = slot[at]
    return number, n


@compiled
def different_sets(note_cell: Ints, item: Ints, n_cells: int, n_items: int) -> tuple[Ints, Ints, Ints]:
    """The different sets of items that cells hold, in order of appearance.

    Args:
        note_cell: (N,) cell of each note.
        item: (N,) item of each note, 0 .. n_items - 1.

    Returns:
        (D + 1,) where each set begins among the items of all, those items, and (C,) the set of each cell.
    """
    begin, notes = _notes_by_cell(note_cell, n_cells)
    size = _table_size(n_cells)
    slot = np.full(size, -1, dtype=np.int64)
    holder = np.full(n_items, -1, dtype=np.int64)  # the last cell in which the item was seen
    first, items = np.zeros(n_cells + 1, dtype=np.int64), np.empty(len(item), dtype=np.int64)
    of_cell = np.empty(n_cells, dtype=np.int64)
    n = 0
    for c in range(n_cells):
        end, mixed = first[n], np.uint64(0)
        for i in notes[begin[c] : begin[c + 1]]:
            if holder[item[i]] != c:
                holder[item[i]] = c
                items[end] = item[i]
                end += 1
                mixed += _mixed(np.uint64(item[i]))  # the same in any order
        at = _mixed(mixed) & np.uint64(size - 1)
        while slot[at] >= 0 and not _all_in(items[first[slot[at]] : first[slot[at] + 1]], end - first[n], holder, c):
            at = (at + np.uint64(1)) & np.uint64(size - 1)
        if slot[at] < 0:
            slot[at], first[n + 1] = n, end
            n += 1
        of_cell[c] = slot[at]
    return first[: n + 1].copy(), items[: first[n]].copy(), of_cell


@compiled
def _all_in(items: Ints, n: int, holder: Ints, cell: int) -> bool:
    """Whether these are the n items of a cell."""
    held = 0
    for item in items:
        held += holder[item] == cell
    return held == n == len(items)


@compiled
def _notes_by_cell(note_cell: Ints, n_cells: int) -> tuple[Ints, Ints]:
    """(C + 1,) where each cell's notes begin, (N,) the notes by cell, in a cell in their order."""
    begin = np.zeros(n_cells + 1, dtype=np.int64)
    for c in note_cell:
        begin[c + 1] += 1
    for c in range(n_cells):
        begin[c + 1] += begin[c]
    notes, at = np.empty(len(note_cell), dtype=np.int64), begin.copy()
    for i in range(len(note_cell)):
        notes[at[note_cell[i]]] = i
        at[note_cell[i]] += 1
    return begin, notes


@compiled
def _table_size(n: int) -> int:
    """Places of a hash table for n entries: a power of 2, half of them empty or more."""
    size = 16
    while size < 2 * n:
        size *= 2
    return size


@compiled
def _mixed(x: np.uint64) -> np.uint64:
    """Every bit of the result depends on every bit of x (the finalizer of SplitMix64, Steele and others 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
