"""How well the notes of a transcription agree with the notes that were played: F of notes, of parts, and the number of parts.

All is mir_eval's note matching (`mir_eval.transcription`): a reference note and a found one match if their onsets lie within
50 ms and their pitches within 50 cents, one to one, as many pairs as possible. Notes are arrays (N, 4): onset and offset in
seconds, MIDI pitch, part from 0 (one part for all where a system has no parts).
"""

from dataclasses import dataclass

import mir_eval
import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Notes = npt.NDArray[np.float64]

ONSET_TOLERANCE, OFFSET_RATIO, OFFSET_TOLERANCE = 0.05, 0.2, 0.05
RESAMPLES = 2_000


@dataclass(frozen=True)
class PartsScore:
    """How well the notes of K reference parts are found in as many parts, or in more, or in fewer."""

    pooled: float
    """2 Σ m / (notes played + notes found), m the matches of each reference part within the one found part it is given; found
    parts are given to reference parts, each to one at most, so that Σ m is as large as can be."""

    mean: float
    """The F of each reference part with the found part that it is given, so that their sum is as large as can be, divided by the
    number of reference or of found parts, whichever is larger. This is how the papers on this set count (with K known)."""


def note_f(reference: Notes, found: Notes, offsets: bool = False) -> float:
    """F of the notes of all parts together, from 0 to 1; 1 where nothing was played and nothing found.

    Args:
        reference: (N, 4) notes played; a unison of two parts is two notes.
        found: (M, 4) notes found.
        offsets: offsets count too: within 50 ms or 20 % of the length.
    """
    if not len(reference) or not len(found):
        return float(len(reference) == len(found))
    return 2 * _matches(reference, found, offsets) / (len(reference) + len(found))


def parts_f(reference: Notes, found: Notes) -> PartsScore:
    """Both F of the parts; (N, 4) notes played and (M, 4) notes found."""
    played, given = _by_part(reference), _by_part(found)
    if not played or not given:
        return PartsScore(float(len(played) == len(given)), float(len(played) == len(given)))
    matches = np.array([[_matches(one, other) for other in given] for one in played])
    sizes = np.add.outer([len(part) for part in played], [len(part) for part in given])
    f = 2 * matches / sizes
    pooled = 2 * matches[linear_sum_assignment(-matches)].sum() / (len(reference) + len(found))
    return PartsScore(float(pooled), float(f[linear_sum_assignment(-f)].sum() / max(f.shape)))


def interval(values: npt.ArrayLike, seed: int = 0) -> tuple[float, float, float]:
    """(mean, low, high) of one value a mix, with the 95 % interval of a bootstrap over mixes; nan without values."""
    values = np.asarray(values, dtype=np.float64)
    if not len(values):
        return (float("nan"),) * 3
    drawn = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(1), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def _by_part(notes: Notes) -> list[Notes]:
    return [notes[notes[:, 3] == part] for part in np.unique(notes[:, 3])]


def _matches(reference: Notes, found: Notes, offsets: bool = False) -> int:
    pairs = mir_eval.transcription.match_notes(
        reference[:, :2],
        mir_eval.util.midi_to_hz(reference[:, 2]),
        found[:, :2],
        mir_eval.util.midi_to_hz(found[:, 2]),
        onset_tolerance=ONSET_TOLERANCE,
        offset_ratio=OFFSET_RATIO if offsets else None,
        offset_min_tolerance=OFFSET_TOLERANCE,
    )
    return len(pairs)
