"""Beats, bars and metre of performed or transcribed notes: features → network → likeliest beats → likeliest bars."""

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats, Ints
from analysis.errors import MeloError
from meloctl.beats.bar_path import BAR_LENGTHS, bar_path
from meloctl.beats.beat_network import beat_odds
from meloctl.beats.beat_path import beat_path
from meloctl.beats.beat_ticks import beats_of_bar
from meloctl.beats.beats import Beats
from meloctl.beats.note_frames import FRAMES_A_SECOND, note_frames

FEWEST_NOTES = 8
"""Notes below which no beat can be found."""

LONGEST_S = 6 * 3600.0
"""Seconds that are searched for beats."""

_SNAP_S = 0.05
"""Seconds from a beat within which onsets draw it to them."""

_WIDTH_S = 0.025
"""Standard deviation of the weight of those onsets."""

_MOST_ODDS = 12.0
"""Greatest log odds, either way, of one beat as a downbeat."""

_NEAR = 0.07
"""Share of a beat within which an onset lies at a place of it."""


def track_beats(
    onset_s: npt.ArrayLike,
    offset_s: npt.ArrayLike,
    pitch: npt.ArrayLike,
    velocity: npt.ArrayLike | None = None,
    *,
    tempo: float | None = None,
    signature: tuple[int, int] | None = None,
) -> Beats | None:
    """The beats of N pitched notes, drums left out; None where fewer than 8 notes, or no two beats, are there.

    Args:
        onset_s: (N,) seconds ≥ 0, in any order.
        offset_s: (N,) seconds.
        pitch: (N,) MIDI pitch, 0..127.
        velocity: (N,) any positive scale; None where it is not known.
        tempo: quarter notes a minute near which beats lie; None to find it. A beat is a quarter without a signature.
        signature: (numerator, denominator) of all bars; None to find it.

    Raises:
        MeloError: a tempo outside 5 to 1000, columns of different lengths, times that are no numbers, below 0 or over six hours.
    """
    if tempo is not None and not 5 <= tempo <= 1000:
        raise MeloError("quarter notes a minute, 5 to 1000", field="tempo", given=tempo)
    onset, offset, tone, force = _columns(onset_s, offset_s, pitch, velocity)
    if len(onset) < FEWEST_NOTES:
        return None
    lead = float(onset[0])
    onset, offset = onset - lead, offset - lead
    odds = beat_odds(note_frames(onset, offset, tone, force))
    a_beat = beats_of_bar(signature)[1] if signature else 1.0
    of_beats = odds[:, 0].astype(np.float64)
    frames = beat_path(of_beats, period_s=60 * a_beat / tempo) if tempo else beat_path(of_beats)
    frames = frames[frames <= onset[-1] * FRAMES_A_SECOND + 2]
    if len(frames) < 2:
        return None
    lengths = (beats_of_bar(signature)[0],) if signature else BAR_LENGTHS
    opens, length = bar_path(_downbeat_odds(odds, frames), lengths=lengths)
    times = _snapped(frames / FRAMES_A_SECOND, onset)
    metre = signature or ((3 * length, 8) if _is_compound(times, onset) else (length, 4))
    confidence = float((1 / (1 + np.exp(-_near_most(odds[:, 0], frames)))).mean())
    return Beats(times_s=times + lead, downbeat=opens, metre=metre, confidence=confidence)


def _columns(
    onset_s: npt.ArrayLike, offset_s: npt.ArrayLike, pitch: npt.ArrayLike, velocity: npt.ArrayLike | None
) -> tuple[Floats, Floats, Ints, Floats]:
    """The notes as sorted columns. Arguments and errors as of `track_beats`."""
    onset, offset = (np.asarray(c, dtype=np.float64) for c in (onset_s, offset_s))
    tone = np.asarray(pitch, dtype=np.int64)
    force = np.ones(len(onset)) if velocity is None else np.asarray(velocity, dtype=np.float64)
    if not onset.shape == offset.shape == tone.shape == force.shape or onset.ndim != 1:
        shapes = ", ".join(str(c.shape) for c in (onset, offset, tone, force))
        raise MeloError(f"onsets, offsets, pitches and velocities must be columns of one length, not {shapes}")
    if len(onset) and not (np.isfinite(onset).all() and np.isfinite(offset).all() and onset.min() >= 0):
        raise MeloError(
            "onsets and offsets must be seconds from 0 on; were they given in ticks, or before the beginning?"
        )
    if len(onset) and onset.max() > LONGEST_S:
        raise MeloError(f"an onset at {onset.max():,.0f} s; beats are sought in at most {LONGEST_S:,.0f} s")
    order = np.argsort(onset, kind="stable")
    return onset[order], offset[order], tone[order], np.maximum(force[order], 1e-6)


def _near_most(values: Floats, frames: Ints) -> Floats:
    """(B,) the greatest value in each of B frames and the frames beside it.

    Args:
        values: (T,) of all frames.
        frames: (B,)
    """
    last = len(values) - 1
    return np.asarray(np.max([values[np.clip(frames + k, 0, last)] for k in (-1, 0, 1)], axis=0))


def _downbeat_odds(odds: Floats, frames: Ints) -> Floats:
    """(B,) log odds that each beat begins a bar: p(downbeat) against p(beat) − p(downbeat).

    Args:
        odds: (T, 2) log odds of a beat, and of a downbeat, in each frame.
        frames: (B,) of the beats.
    """
    beat, downbeat = (1 / (1 + np.exp(-_near_most(odds[:, k], frames).astype(np.float64))) for k in (0, 1))
    share = np.clip(downbeat / np.maximum(beat, downbeat), 1e-6, 1 - 1e-6)
    weight = np.minimum(beat / 0.3, 1.0)  # a beat that nothing marks says little about bars
    return np.asarray(np.clip(weight * np.log(share / (1 - share)), -_MOST_ODDS, _MOST_ODDS))


def _snapped(times: Floats, onset: Floats) -> Floats:
    """(B,) times of beats, drawn to the onsets near them.

    Args:
        times: (B,) seconds.
        onset: (N,) seconds, ascending.
    """
    first, last = (np.searchsorted(onset, times + k) for k in (-_SNAP_S, _SNAP_S))
    out = times.copy()
    for b in np.flatnonzero(last > first).tolist():
        near = onset[first[b] : last[b]]
        weight = np.exp(-0.5 * ((near - times[b]) / _WIDTH_S) ** 2)
        out[b] = (weight * near).sum() / weight.sum()
    return np.maximum.accumulate(out)


def _is_compound(times: Floats, onset: Floats) -> bool:
    """True where more onsets lie at thirds of beats than at halves and quarters.

    Args:
        times: (B,) seconds of beats.
        onset: (N,) seconds, ascending.
    """
    at = np.searchsorted(times, onset, side="right") - 1
    inside = (at >= 0) & (at < len(times) - 1)
    at, some = at[inside], onset[inside]
    phase = (some - times[at]) / np.maximum(times[at + 1] - times[at], 1e-6)
    thirds, halves, quarters = (
        sum(int((np.abs(phase - p) < _NEAR).sum()) for p in places)
        for places in ((1 / 3, 2 / 3), (1 / 2,), (1 / 4, 3 / 4))
    )
    return thirds > halves + quarters
