"""Bars and tempos of a MIDI file, by its meta events."""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.errors import MeloError
from analysis.midi_events import META, MidiEvents
from analysis.midi_limits import Limits, check_limit
from analysis.piece import Bars, bar_tolerance

DEFAULT_TEMPO = 120.0
"""Quarter notes a minute until a file says otherwise (Standard MIDI Files 1.0)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FileTimes:
    """What a file says of bars and tempo."""

    bars: Bars
    tempo_tick: Ints
    tempo: Floats
    moved: int = 0
    """Time signatures that were moved to a bar line."""

    inside: int = 0
    """Time signatures said again inside a bar."""

    contradicted: int = 0
    """Time signatures of later tracks that the first track to say one at their tick contradicts."""

    signatures_ignored: int = 0
    tempos_ignored: int = 0


@dataclass(frozen=True, kw_only=True)
class MetaEvents:
    """Indices of the meta events that are read, by kind."""

    names: Ints
    signatures: Ints
    tempos: Ints


def meta_events(events: MidiEvents) -> MetaEvents:
    """The meta events of a file that are read."""
    metas = events.marked[events.status[events.marked] == META]
    kind = np.frombuffer(events.data, dtype=np.uint8)[events.start[metas] + 1]
    return MetaEvents(names=metas[kind == 0x03], signatures=metas[kind == 0x58], tempos=metas[kind == 0x51])


def file_times(events: MidiEvents, metas: MetaEvents, meter: tuple[int, int] | None, limits: Limits) -> FileTimes:
    """The bars and tempos of a file; `meter` overrides its time signatures. Raises MeloError: damaged, or over a limit."""
    check_limit(max(len(metas.signatures), len(metas.tempos)), limits.changes, "time signatures or tempos")
    tempo_tick, tempo, tempos_ignored = _tempos(events, metas.tempos)
    track = np.searchsorted(events.first_event, metas.signatures, side="right").tolist()
    stated = [
        (int(events.tick[e]), k, events.payload(e)[:2]) for e, k in zip(metas.signatures.tolist(), track, strict=True)
    ]
    known = {(t, k): (s[0], 1 << s[1]) for t, k, s in stated if _is_meant(s)}
    at, contradicted = _of_first_tracks(known)
    found, moved, inside = ([(0, *meter)], 0, 0) if meter else _settled(at, events.ticks_per_quarter)
    for _, n, d in found:
        check_limit(-(-4 * n // d), limits.bar_quarters, f"quarter notes in a bar of {n}/{d}")
    return FileTimes(
        bars=Bars.of(found, events.ticks_per_quarter),
        tempo_tick=tempo_tick,
        tempo=tempo,
        moved=moved,
        inside=inside,
        contradicted=contradicted,
        signatures_ignored=sum(not _is_meant(s) for _, _, s in stated),
        tempos_ignored=tempos_ignored,
    )


def _is_meant(signature: bytes) -> bool:
    return len(signature) == 2 and signature[0] > 0 and signature[1] < 8


def _of_first_tracks(
    signatures: dict[tuple[int, int], tuple[int, int]],
) -> tuple[dict[int, tuple[int, int]], int]:
    """{tick: (numerator, denominator)} of the first track to say one there, where signatures stand (Standard MIDI Files 1.0);
    and how many others differ.

    Args:
        signatures: {(tick, track): (numerator, denominator)}.
    """
    at: dict[int, tuple[int, int]] = {}
    differ = 0
    for (tick, _), signature in sorted(signatures.items()):
        differ += at.setdefault(tick, signature) != signature
    return at, differ


def _settled(
    signatures: dict[int, tuple[int, int]], ticks_per_quarter: int
) -> tuple[list[tuple[int, int, int]], int, int]:
    """Time signatures that change something, at their bar lines; those moved there, and those said again inside a bar.

    The first of a file always begins a bar: before it, 4/4 was only taken.

    Args:
        signatures: {tick: (numerator, denominator)}, ascending.
    """
    near = bar_tolerance(ticks_per_quarter)
    settled, moved, inside = [(0, 4, 4)], 0, 0
    first = next(iter(signatures), 0)
    for tick, (n, d) in signatures.items():
        at, numerator, denominator = settled[-1]
        quarters4 = 4 * ticks_per_quarter * numerator
        bar = max((tick - at) * denominator // quarters4, 0)
        lines = [at - (-b * quarters4) // denominator for b in (bar + 1, bar)]
        line = min(lines, key=lambda line: abs(line - tick))  # the nearer; the later of two equally near
        beside = abs(line - tick) <= near
        if (n, d) == (numerator, denominator) and (beside or tick != first):
            inside += not beside
            continue
        if beside and line != tick:
            tick, moved = line, moved + 1
        if tick == at:
            settled.pop()
            if settled and settled[-1][1:] == (n, d):
                continue
        settled.append((tick, n, d))
    return settled, moved, inside


def _tempos(events: MidiEvents, tempos: Ints) -> tuple[Ints, Floats, int]:
    """Ticks ascending from 0 and the tempo from each on, the last of several at one tick; and the events that were ignored."""
    at, ignored = {0: DEFAULT_TEMPO}, 0
    for tick, event in sorted(zip(events.tick[tempos].tolist(), tempos.tolist(), strict=True)):
        value = events.payload(event)
        if len(value) != 3:
            ignored += 1
        elif value == b"\0\0\0":
            raise MeloError(f"damaged: a tempo of 0 microseconds a quarter note at tick {tick}")
        else:
            at[tick] = 60e6 / int.from_bytes(value, "big")
    return np.array(list(at), dtype=np.int64), np.array(list(at.values())), ignored
