"""From beats in seconds to the ticks, tempos and bars of a MIDI file whose first tick is second 0."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.arrays import Floats, Ints
from analysis.piece import Bars
from meloctl.beats.beats import Beats

TICKS_PER_QUARTER = 480

DEFAULT_TEMPO = 120.0
"""Quarter notes a minute, where there are no beats."""

TOLERANCE_S = 0.02
"""A tempo holds as long as every beat falls within so many seconds of its tick."""

_ROUND = (1.0, 0.5, 0.1, 0.01)
"""Tempos are multiples of the first of these that the beats allow."""

_LEAST_S = 1e-3
"""Least seconds of a beat."""

_FASTEST, _SLOWEST = 1000.0, 4.0
"""Tempos in quarter notes a minute: MIDI holds none below 3.6."""


@dataclass(frozen=True, kw_only=True)
class BeatTicks:
    """Bars and tempos of a performance, and the tick of any second of it."""

    bars: Bars
    tempo_tick: Ints
    """(T,) ticks at which the tempo changes, ascending, the first 0."""

    tempo: Floats
    """(T,) quarter notes a minute from each of those ticks on, as a MIDI file holds them."""

    tempo_s: Floats
    """(T,) seconds of those ticks."""

    def ticks_at(self, seconds: npt.ArrayLike) -> Ints:
        """The nearest tick of each second ≥ 0, same shape."""
        s = np.asarray(seconds, dtype=np.float64)
        segment = np.searchsorted(self.tempo_s, s, side="right") - 1
        rate = self.tempo[segment] * self.bars.ticks_per_quarter / 60
        return np.rint(self.tempo_tick[segment] + (s - self.tempo_s[segment]) * rate).astype(np.int64)


def beat_ticks(
    beats: Beats | None,
    end_s: float,
    *,
    tempo: float | None = None,
    signature: tuple[int, int] | None = None,
    tolerance_s: float = TOLERANCE_S,
    ticks_per_quarter: int = TICKS_PER_QUARTER,
) -> BeatTicks:
    """Ticks, tempos and bars in which beats stand at whole beats, and downbeats at bar lines.

    Second 0 is tick 0. Beats go on to both ends at the pace that they have there; what precedes the first whole bar is a bar of
    fewer beats. A first beat less than half a beat after second 0 is moved there.

    Args:
        beats: None where there are none: then the tempo is constant.
        end_s: seconds up to which beats are wanted.
        tempo: quarter notes a minute where there are no beats; None for 120.
        signature: of the bars where there are no beats; None for 4/4.
        tolerance_s: seconds that a beat may lie beside its tick; with 0 each beat has a tempo of its own.
        ticks_per_quarter: of the result, a multiple of 8.
    """
    if beats is None or len(beats.times_s) < 2:
        value = _as_midi(tempo or DEFAULT_TEMPO)
        bars = Bars.of([(0, *(signature or (4, 4)))], ticks_per_quarter)
        return BeatTicks(bars=bars, tempo_tick=np.zeros(1, np.int64), tempo=np.array([value]), tempo_s=np.zeros(1))
    times, first = _extended(beats.times_s, end_s)
    a_beat, quarters = beats_of_bar(beats.metre)
    downbeats = _all_downbeats(first + np.flatnonzero(beats.downbeat), first, len(times), a_beat)
    signatures = _signatures(downbeats, beats.metre, a_beat, round(quarters * ticks_per_quarter))
    anchors = list(_tempos(times, quarters, tolerance_s))
    beat, seconds, tempos = (np.array(column) for column in zip(*anchors, strict=True))
    return BeatTicks(
        bars=Bars.of(signatures, ticks_per_quarter),
        tempo_tick=(beat * round(quarters * ticks_per_quarter)).astype(np.int64),
        tempo=tempos,
        tempo_s=seconds,
    )


def beats_of_bar(metre: tuple[int, int]) -> tuple[int, float]:
    """(beats in a bar, quarter notes in a beat): 4/4 has 4 beats of a quarter, 6/8 2 of a quarter and a half."""
    numerator, denominator = metre
    if denominator >= 8 and numerator > 3 and numerator % 3 == 0:
        return numerator // 3, 12 / denominator
    return numerator, 4 / denominator


def _extended(times: Floats, end_s: float) -> tuple[Floats, int]:
    """Beats from second 0 to `end_s` or later, and the index of the first given one among them."""
    pace, last = (float(np.median(some)) for some in (np.diff(times[:9]), np.diff(times[-9:])))
    before = round(times[0] / pace)
    head = np.linspace(0, times[0], before + 1)[:-1]
    after = max(0, int(np.ceil((end_s - times[-1]) / last)))
    tail = times[-1] + last * np.arange(1, after + 1)
    inside = times.copy()
    if not before:
        inside[0] = 0.0
    return np.concatenate([head, inside, tail]), before


def _all_downbeats(downbeats: Ints, first: int, count: int, a_bar: int) -> list[int]:
    """Indices of downbeats among all `count` beats: the given ones, and one every bar where none is for so long."""
    known = downbeats.tolist() or [first]
    out = list(range(known[0] % a_bar, known[0], a_bar))
    for here, there in zip(known, [*known[1:], count], strict=True):
        whole = max((there - here) // a_bar, 1)
        out += [here + a_bar * k for k in range(whole)]
    while out[-1] + a_bar < count:
        out.append(out[-1] + a_bar)
    return out


def _signatures(
    downbeats: list[int], metre: tuple[int, int], a_bar: int, beat_ticks: int
) -> list[tuple[int, int, int]]:
    """(tick, numerator, denominator) wherever the number of beats in a bar changes."""
    starts = downbeats if downbeats[0] == 0 else [0, *downbeats]
    out: list[tuple[int, int, int]] = []
    for here, there in zip(starts, [*starts[1:], starts[-1] + a_bar], strict=True):
        signature = (metre[0] // a_bar * (there - here), metre[1])
        if not out or out[-1][1:] != signature:
            out.append((here * beat_ticks, *signature))
    return out


def _tempos(times: Floats, quarters: float, tolerance_s: float) -> Iterator[tuple[int, float, float]]:
    """(beat, its second, tempo from there on): the fewest tempos, from left to right, that keep beats near their ticks.

    Args:
        times: (B,) seconds of beats, the first 0.
        quarters: quarter notes in a beat.
        tolerance_s: seconds that a beat may lie beside its tick.
    """
    beat, second = 0, 0.0
    while beat < len(times) - 1:
        low, high, end = 0.0, np.inf, beat
        for i in range(beat + 1, len(times)):
            closer = max(low, (times[i] - tolerance_s - second) / (i - beat))
            further = min(high, max((times[i] + tolerance_s - second) / (i - beat), _LEAST_S))
            if closer > further and end > beat:
                break
            low, high, end = min(closer, further), further, i
        tempo = _roundest(60 * quarters / high, 60 * quarters / max(low, _LEAST_S / 2))
        yield beat, second, tempo
        second += 60 * quarters / tempo * (end - beat)
        beat = end


def _roundest(slow: float, fast: float) -> float:
    """The tempo of the roundest number from `slow` to `fast`, near their middle, as a MIDI file holds it."""
    middle = (slow + fast) / 2 if fast < _FASTEST else slow
    for unit in _ROUND:
        value = round(middle / unit) * unit
        if slow <= value <= fast:
            return _as_midi(value)
    return _as_midi(middle)


def _as_midi(tempo: float) -> float:
    """The tempo that a MIDI file holds, whole microseconds a quarter note."""
    return 60_000_000 / round(60_000_000 / min(max(tempo, _SLOWEST), _FASTEST))
