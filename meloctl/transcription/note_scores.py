"""How many notes were found: matches of reference and estimate, and precision, recall and F of them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from meloctl.transcription.notes import NoteTable

ONSET_TOLERANCE_S = 0.05
_OFFSET_SHARE = 0.2
_DECIMALS = 4
"""Distances are rounded to tenths of milliseconds, as mir_eval does, before they are compared."""


class NoteScore(NamedTuple):
    """Of one recording, 0 to 1; 0 where there are no notes."""

    precision: float
    recall: float
    f: float


def matched(reference: NoteTable, estimate: NoteTable, *, offsets: bool = False) -> int:
    """The largest number of pairs of notes of one pitch with onsets within 50 ms, each note in one pair at most.

    Args:
        reference: the notes that were played.
        estimate: the notes that were found.
        offsets: as in `partners`.
    """
    return int((partners(reference, estimate, offsets=offsets) >= 0).sum())


def partners(reference: NoteTable, estimate: NoteTable, *, offsets: bool = False) -> npt.NDArray[np.int64]:
    """(M,) for each estimated note the index of the reference note that it is paired with in the largest matching; −1 for none.

    Args:
        reference: the notes that were played.
        estimate: the notes that were found.
        offsets: offsets must lie within 50 ms, or within a fifth of the reference note's length, as well.
    """
    near = (reference.pitch[:, None] == estimate.pitch[None]) & _within(
        reference.onset, estimate.onset, np.full(len(reference), ONSET_TOLERANCE_S)
    )
    if offsets:
        longest = np.maximum(_OFFSET_SHARE * (reference.offset - reference.onset), ONSET_TOLERANCE_S)
        near &= _within(reference.offset, estimate.offset, longest)
    if not near.any():
        return np.full(len(estimate), -1, np.int64)
    return np.asarray(maximum_bipartite_matching(csr_matrix(near.T), perm_type="column"), np.int64)


def _within(
    a: npt.NDArray[np.float64], b: npt.NDArray[np.float64], tolerance: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """(N, M) whether times (N,) and (M,) in seconds lie within (N,) tolerances."""
    found: npt.NDArray[np.bool_] = np.round(np.abs(a[:, None] - b[None]), _DECIMALS) <= tolerance[:, None]
    return found


def note_score(reference: NoteTable, estimate: NoteTable, *, offsets: bool = False) -> NoteScore:
    """Of all notes, whatever their parts.

    Args:
        reference: the notes that were played.
        estimate: the notes that were found.
        offsets: as in `matched`.
    """
    return _score(matched(reference, estimate, offsets=offsets), len(reference), len(estimate))


def separated_score(reference: NoteTable, estimate: NoteTable) -> NoteScore:
    """Of notes that are in the right part too, parts of the estimate being numbered as fits the reference best.

    Args:
        reference: the notes that were played, with parts.
        estimate: the notes that were found, with parts.
    """
    ours, theirs = np.unique(reference.part), np.unique(estimate.part)
    hits = np.array([[matched(_of(reference, a), _of(estimate, b)) for b in theirs] for a in ours]).reshape(
        len(ours), len(theirs)
    )
    rows, columns = linear_sum_assignment(-hits)
    return _score(int(hits[rows, columns].sum()), len(reference), len(estimate))


def _of(notes: NoteTable, part: int) -> NoteTable:
    return notes.take(notes.part == part)


def _score(hits: int, reference: int, estimate: int) -> NoteScore:
    if not hits:
        return NoteScore(0.0, 0.0, 0.0)
    return NoteScore(hits / estimate, hits / reference, 2 * hits / (reference + estimate))
