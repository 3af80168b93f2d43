"""What is kept of each cell. A cell is (part, bar); an empty cell is 0 everywhere."""

import numpy as np
import numpy.typing as npt

from analysis.piece import Piece

PitchClassSets = npt.NDArray[np.uint16]
"""(P, T) P parts, T bars: bit c is set where pitch class c (0 = C) has an onset in the cell."""


def pitch_class_sets(piece: Piece) -> PitchClassSets:
    """Pitch-class sets of every cell of the pitched parts, shape (P, T); drums have no pitch and no row here."""
    pitched = np.array([not p.is_drum for p in piece.parts])
    rank = np.cumsum(pitched) - 1
    sets = np.zeros((int(pitched.sum()), piece.n_bars), dtype=np.uint16)
    mine = pitched[piece.notes.part]
    bit = (1 << (piece.notes.pitch[mine] % 12)).astype(np.uint16)
    np.bitwise_or.at(sets, (rank[piece.notes.part[mine]], piece.note_bar[mine]), bit)
    return sets
