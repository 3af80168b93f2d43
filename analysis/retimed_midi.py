"""The same MIDI file on other ticks: every event keeps its bytes and its order, tempos and time signatures are others."""

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.errors import MeloError
from analysis.midi_events import META, MidiEvents
from analysis.midi_write import variable_length
from analysis.piece import Bars

_SIGNATURE, _TEMPO, _END = 0x58, 0x51, 0x2F
"""Kinds of meta events."""

_MOST_DELTA = (1 << 28) - 1
"""Ticks between two events of a track: a number of four bytes of 7 bits."""


def retimed_midi(
    events: MidiEvents, tick: Ints, end_tick: Ints, *, bars: Bars, tempo_tick: Ints, tempo: Floats
) -> bytes:
    """The bytes of a MIDI file whose events lie at other ticks; the first track says its tempos and time signatures.

    All other events, system exclusive and meta events among them, and chunks that are no tracks, are copied byte for byte.

    Args:
        events: E events in K tracks.
        tick: (E,) the new tick of each event, ascending in each track.
        end_tick: (K,) the new tick of each End of Track.
        bars: time signatures, and the ticks a quarter of the new file.
        tempo_tick: (T,) ticks at which the tempo changes, the first 0.
        tempo: (T,) quarter notes a minute.

    Raises:
        MeloError: two events of a track would lie further apart than a MIDI file can say.
    """
    content = bytearray(events.data[: 8 + int.from_bytes(events.data[4:8], "big")])
    content[12:14] = bars.ticks_per_quarter.to_bytes(2, "big")
    out, at = [bytes(content)], len(content)
    heads = [_head(bars, tempo_tick, tempo), *([] for _ in events.tracks[1:])]
    kept = _kept(events)
    bounds = events.first_event.tolist()
    for (start, stop), first, last, head, end in zip(
        events.tracks.tolist(), bounds, bounds[1:], heads, end_tick.tolist(), strict=False
    ):
        out.append(events.data[at : start - 8])
        own = [(int(tick[i]), 1, events.raw(i)) for i in (first + np.flatnonzero(kept[first:last])).tolist()]
        data = _track(sorted([*head, *own], key=lambda event: event[:2]), end)
        out += [b"MTrk", len(data).to_bytes(4, "big"), data]
        at = stop
    return b"".join([*out, events.data[at:]])


def _kept(events: MidiEvents) -> Ints:
    """(E,) True for all events but tempos and time signatures."""
    kept = np.ones(len(events), dtype=bool)
    metas = np.flatnonzero(events.status == META)
    kind = np.frombuffer(events.data, dtype=np.uint8)[events.start[metas] + 1]
    kept[metas[(kind == _SIGNATURE) | (kind == _TEMPO)]] = False
    return kept


def _head(bars: Bars, tempo_tick: Ints, tempo: Floats) -> list[tuple[int, int, bytes]]:
    """(tick, place in it, event) of the time signatures and tempos."""
    signatures = zip(bars.signature_tick.tolist(), bars.numerator.tolist(), bars.denominator.tolist(), strict=True)
    tempos = zip(tempo_tick.tolist(), tempo.tolist(), strict=True)
    return [
        *((t, 0, bytes((META, _SIGNATURE, 4, n, d.bit_length() - 1, 24, 8))) for t, n, d in signatures),
        *((t, 0, bytes((META, _TEMPO, 3)) + round(60e6 / value).to_bytes(3, "big")) for t, value in tempos),
    ]


def _track(events: list[tuple[int, int, bytes]], end_tick: int) -> bytes:
    data, now = bytearray(), 0
    last = max(end_tick, events[-1][0] if events else 0)
    for tick, _, event in [*events, (last, 0, bytes((META, _END, 0)))]:
        if tick - now > _MOST_DELTA:
            raise MeloError(f"{tick - now:,} ticks between two events; a MIDI file can have {_MOST_DELTA:,}")
        data += variable_length(tick - now) + event
        now = tick
    return bytes(data)
