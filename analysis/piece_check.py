"""What one piece is made of, and what in it hurts training: metre that lies, loose timing, odd parts.

Facts only, from a piece alone; what they mean for a corpus is said where they are counted. Each threshold that makes a
fact a finding stands here; docs/decisions.md has what it was measured on.
"""

import re
from dataclasses import dataclass

import numpy as np

from analysis.accents import accents, beat_shift, scattered
from analysis.arrays import Ints
from analysis.bar_phase import ShiftedStretch, shifted_stretches
from analysis.departures import Departures
from analysis.midi import MidiSource
from analysis.piece import Piece

SHORT_BARS = 8
"""A piece of fewer bars has little to learn from."""

LONG_SECONDS = 1800.0
"""A piece that lasts longer is rarely one piece."""

DENSE_BAR = 256
"""Notes in one bar from which it is extremely dense; the busiest of 2,192 real files has 320, 99 in 100 stay under 190."""

MOST_PARTS = 16
"""MIDI has so many channels; from more parts on, players give two of them one program."""

EARLY = 0.01
"""Share of notes struck a hair before their bar line from which it is said."""

SILENT_BARS, SILENT_SHARE = 8, 0.1
"""Bars behind the one of the last note, and their share of all, from which a piece ends in silence."""

FEW_NOTES = 4
"""A part with fewer notes is as good as silent."""

OFF_GRID = 0.35
"""Share of notes off the grid of 12 steps a quarter from which a piece's timing does not fit it; chance gives 0.5."""

_STEPS = 12
_DRUM_NAME = re.compile(
    r"\b((kick|snare|hi[- ]?hat|clap|perc(?!\.? org))s?\b"
    r"|drum|percuss(io|ão)|percusi[óo]n|perkus|schlagzeug|batteri[ea]|bater[íi]a|ударны|барабан)|ドラム|パーカッション|架子鼓|爵士鼓|打击乐|打擊樂|드럼|타악",
    re.IGNORECASE,
)
_PITCHED_DRUMS = range(112, 120)
"""General MIDI's percussive programs, steel drums and the taiko among them: not on channel 10, and rightly so."""


_META, _SIGNATURE, _TEMPO = 0xFF, 0x58, 0x51
"""Status of a meta event, and the types of two."""


@dataclass(frozen=True, kw_only=True)
class MeterFacts:
    """How the bars of a piece look."""

    commonest: str
    """Time signature of most bars, as "4/4"."""

    stated: bool
    """The file names a time signature; otherwise 4/4 was taken."""

    changes: int
    """Times that a bar has another signature than the bar before."""

    one_beat: bool
    """More than half of the bars last one quarter or less, so that offsets count beats."""

    accents: int
    """3 where every third beat is marked, 4 where every second or fourth is, 0 where the notes leave it open."""

    beside: tuple[ShiftedStretch, ...]
    """Stretches whose accents lie beside the bar lines."""

    pickup: bool
    """The first bar is shorter than the second."""

    short_bars: int
    """Bars after the first and before the last, alone or in twos, that are shorter than most, and bars cut by a signature."""


@dataclass(frozen=True, kw_only=True)
class TimingFacts:
    """How onsets lie against the file's own beats."""

    tempo_stated: bool
    """The file names a tempo; otherwise 120 was taken."""

    off_grid: float
    """Share of notes farther than 1/48 of a quarter from the bar's grid of 12 steps a quarter."""

    shift: float
    """Where most notes lie in the quarter while hardly any lie on its beginning, as a share of it; 0 for notes on the beat."""

    scattered: float
    """Share of notes outside the 16 commonest of 96 places in the quarter."""


@dataclass(frozen=True, kw_only=True)
class InstrumentFacts:
    """The parts of a piece."""

    programs: tuple[int, ...]
    """General MIDI program of each pitched part."""

    drums: int
    """Parts that play the drums."""

    channels: int
    """Channels that the parts play on; one player may have several parts of different programs."""

    hidden_drums: int
    """Parts named like drums that nothing in the file makes drums, and so are read as pitches."""

    sharing: int
    """Pitched parts whose program another part has as well."""

    sparse: int
    """Parts with hardly a note."""

    @property
    def parts(self) -> int:
        """All parts."""
        return len(self.programs) + self.drums


@dataclass(frozen=True, kw_only=True)
class PieceCheck:
    """The facts of one piece."""

    bars: int
    notes: int
    seconds: float
    tempo: float
    """At the beginning, in quarter notes a minute."""

    cells: int
    """Cells that hold notes."""

    busiest_bar: int
    """Notes in the fullest bar."""

    silent_bars: int
    """Bars behind the one of the last note."""

    early: int
    """Notes struck before the bar line of the bar that they belong to."""

    metre: MeterFacts
    timing: TimingFacts
    instruments: InstrumentFacts
    departures: Departures
    """What was not read as it stands."""

    @property
    def empty_cells(self) -> int:
        """(bar, part) pairs without a note."""
        return self.bars * self.instruments.parts - self.cells


def check_source(source: MidiSource, *, meter_given: bool) -> PieceCheck:
    """The facts of a file that was read; `meter_given` where its time signatures were overridden."""
    events, departures = source.events, source.departures
    kind = np.frombuffer(events.data, dtype=np.uint8)[events.start[events.status == _META] + 1]
    signatures, tempos = (int((kind == k).sum()) for k in (_SIGNATURE, _TEMPO))
    return check_piece(
        source.piece,
        meter_stated=meter_given or signatures > departures.signatures_ignored,
        tempo_stated=tempos > departures.tempos_ignored,
        departures=departures,
        channels=len(np.unique(source.note_channel)),
    )


def check_piece(
    piece: Piece, *, meter_stated: bool, tempo_stated: bool, departures: Departures, channels: int
) -> PieceCheck:
    """The facts of a piece with notes.

    Args:
        piece: with notes.
        meter_stated: its file names a time signature.
        tempo_stated: its file names a tempo.
        departures: what of the file was not read as it stands.
        channels: MIDI channels that its parts play on.
    """
    bar = piece.note_bar
    occupied = np.unique(bar * len(piece.parts) + piece.notes.part)
    return PieceCheck(
        bars=piece.n_bars,
        notes=len(piece.notes),
        seconds=piece.seconds,
        tempo=float(piece.tempo[0]),
        cells=len(occupied),
        busiest_bar=int(np.unique(bar, return_counts=True)[1].max()),
        silent_bars=piece.n_bars - 1 - int(bar.max()),
        early=int((piece.bars.bar_of(piece.notes.onset_tick) != bar).sum()),
        metre=_metre(piece, meter_stated),
        timing=_timing(piece, bar, tempo_stated),
        instruments=_instruments(piece, channels),
        departures=departures,
    )


def _metre(piece: Piece, stated: bool) -> MeterFacts:
    bars, n = piece.bars, piece.n_bars
    number = np.arange(n)
    start = bars.start_tick(np.arange(n + 1))
    length = np.diff(start)
    at = bars.signature_index(number)
    signature = bars.numerator[at] * 128 + bars.denominator[at]
    value, count = np.unique(signature, return_counts=True)
    numerator, denominator = divmod(int(value[count.argmax()]), 128)
    nominal = 4 * piece.ticks_per_quarter * bars.numerator[at] // bars.denominator[at]
    one_beat = bool((length <= piece.ticks_per_quarter).mean() > 0.5)
    return MeterFacts(
        commonest=f"{numerator}/{denominator}",
        stated=stated,
        changes=int((np.diff(signature) != 0).sum()),
        one_beat=one_beat,
        accents=accents(piece),
        beside=shifted_stretches(piece),
        pickup=bool(n > 1 and length[0] < length[1]),
        short_bars=_short_bars(length, nominal),
    )


def _short_bars(length: Ints, nominal: Ints) -> int:
    """Bars cut short, and bars shorter than most that stand alone or in twos; neither the first nor the last bar."""
    value, count = np.unique(length, return_counts=True)
    below = length < value[count.argmax()]
    edge = np.flatnonzero(np.diff(np.concatenate([[False], below, [False]]).astype(np.int8)))
    run = np.zeros(len(length), dtype=np.int64)
    for first, last in edge.reshape(-1, 2):
        run[first:last] = last - first
    short = (below & (run <= 2)) | (length < nominal)
    return int(short[1:-1].sum())


def _timing(piece: Piece, bar: Ints, stated: bool) -> TimingFacts:
    tpq = piece.ticks_per_quarter
    within = piece.notes.onset_tick - piece.bars.start_tick(bar)
    rest = within * _STEPS % tpq
    phase = within % tpq / tpq
    return TimingFacts(
        tempo_stated=stated,
        off_grid=float((4 * np.minimum(rest, tpq - rest) > tpq).mean()),
        shift=beat_shift(phase),
        scattered=scattered(phase),
    )


def _instruments(piece: Piece, channels: int) -> InstrumentFacts:
    pitched = [p.program for p in piece.parts if not p.is_drum]
    named = [p for p in piece.parts if not p.is_drum and _DRUM_NAME.search(p.name) and p.program not in _PITCHED_DRUMS]
    notes = np.bincount(piece.notes.part, minlength=len(piece.parts))
    return InstrumentFacts(
        programs=tuple(pitched),
        drums=len(piece.parts) - len(pitched),
        channels=channels,
        hidden_drums=len(named),
        sharing=sum(pitched.count(p) > 1 for p in pitched),
        sparse=int((notes < FEW_NOTES).sum()),
    )
