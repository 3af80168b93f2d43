"""A mend of MIDI files: one that was played freely is put on its beats, and nothing sounds at another time than before."""

from dataclasses import dataclass

import numpy as np

from analysis.accents import SCATTERED, scattered
from analysis.arrays import Floats, Ints
from analysis.errors import MeloError
from analysis.midi import MidiSource
from analysis.piece import Piece
from analysis.retimed_midi import retimed_midi
from meloctl.beats.beat_ticks import BeatTicks, beat_ticks
from meloctl.beats.beats import Beats
from meloctl.beats.track_beats import track_beats

_TICKS = 480
"""Ticks a quarter are a multiple of this."""

_MOST_TICKS = 30_720
"""Of a quarter; a MIDI file can have 32,767."""


@dataclass(frozen=True, kw_only=True)
class Mended:
    """What a mend made of a file."""

    data: bytes
    """The new file."""

    done: str
    """What was done, in words."""


def lies_off_beats(piece: Piece) -> bool:
    """True where the notes lie anywhere in the file's beats (`corpus check` calls it played-freely)."""
    tpq = piece.ticks_per_quarter
    within = piece.notes.onset_tick - piece.bars.start_tick(piece.note_bar)
    return scattered(within % tpq / tpq) >= SCATTERED


def put_on_beats(source: MidiSource) -> Mended | None:
    """A file that was played freely, on the beats that its notes make; None for any other file.

    Every event keeps its second, to the nearest tick; tempos and time signatures are those of the tracked beats.

    Raises:
        MeloError: played freely, but without beats that could be found, or in a container.
    """
    piece = source.piece
    if not lies_off_beats(piece):
        return None
    if source.wrapper.kind:
        raise MeloError(f"played freely, but packed in {source.wrapper.kind}; unpack it first")
    beats = _beats(piece)
    if beats is None:
        raise MeloError("played freely, and no beats were found in its notes")
    old_s = piece.seconds_at(source.events.tick)
    end_s = piece.seconds_at(source.events.end_tick)
    ticks = beat_ticks(
        beats,
        float(max(end_s.max(initial=0.0), piece.seconds)),
        tolerance_s=0.0,
        ticks_per_quarter=_fine_enough(piece, beats),
    )
    data = retimed_midi(
        source.events,
        ticks.ticks_at(old_s),
        ticks.ticks_at(end_s),
        bars=ticks.bars,
        tempo_tick=ticks.tempo_tick,
        tempo=ticks.tempo,
    )
    return Mended(data=data, done=_words(beats, ticks, piece))


def _beats(piece: Piece) -> Beats | None:
    """The beats of the pitched notes of a piece."""
    notes = piece.notes
    pitched = ~np.array([part.is_drum for part in piece.parts])[notes.part]
    onset = piece.seconds_at(notes.onset_tick)
    offset = piece.seconds_at(notes.onset_tick + notes.duration_tick)
    return track_beats(onset[pitched], offset[pitched], notes.pitch[pitched], notes.velocity[pitched])


def _fine_enough(piece: Piece, beats: Beats) -> int:
    """Ticks a quarter at which no tick lasts longer than one of the file did, at the pace of all but the longest beats."""
    old: Floats = 60 / (piece.tempo * piece.ticks_per_quarter)
    quarter = float(np.quantile(np.diff(beats.times_s), 0.99))
    times: Ints = np.arange(1, _MOST_TICKS // _TICKS + 1)
    fine = times[quarter / (_TICKS * times) <= old.min()]
    return _TICKS * int(fine[0] if len(fine) else times[-1])


def _words(beats: Beats, ticks: BeatTicks, piece: Piece) -> str:
    bars = int(ticks.bars.bar_of(ticks.ticks_at(piece.seconds))) + 1
    pace = float(np.median(beats.tempo))
    metre = "{}/{}".format(*beats.metre)
    return f"put on its beats: {bars} bars of {metre}, {pace:.0f} beats a minute, sureness {beats.confidence:.2f}"
