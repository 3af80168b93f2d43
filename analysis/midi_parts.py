"""Which part each note of a MIDI file belongs to: the notes of one track and program, or of its drums."""

import numpy as np

from analysis.arrays import Ints
from analysis.channel_state import DRUM_CHANNEL, PHASES, PLAYING
from analysis.compiled import compiled
from analysis.midi_events import Int32s

MOST_PARTS = 4_096
"""Parts that are told apart while a file is read."""


@compiled
def notes_in_parts(
    first_event: Int32s,
    tick: Int32s,
    kind: int,
    on: Int32s,
    channel: Int32s,
    first: Ints,
    time: Ints,
    program: Ints,
    drums: Ints,
    reason: Ints,
    manager: Ints,
) -> tuple[Int32s, Ints, Ints]:
    """(N,) part of each note; (5, P) track, program, drums, lowest channel and whether joined of each part; notes by reason.

    Args:
        first_event, tick: (K + 1,) and (E,) of the file's events.
        on, channel: (N,) of the notes.
        first, time, program, drums, reason, manager: the columns of ChannelStates.
    """
    part = np.empty(len(on), np.int32)
    parts = np.empty((5, MOST_PARTS + 1), np.int64)
    counts = np.zeros(3, np.int64)
    n_channels = len(first) - 1
    at = first[:-1].copy()  # the states of each channel that are passed, in the track that is read
    known, stamp = np.zeros(256 * n_channels, np.int32), np.full(256 * n_channels, -1, np.int64)
    n, track = 0, -1
    for i in range(len(on)):
        e = on[i]
        if e >= first_event[track + 1]:
            while e >= first_event[track + 1]:
                track += 1
            at[:] = first[:-1]
        now = (np.int64(tick[e]) << PHASES) | (np.int64(PLAYING) << (PHASES - 2)) | e
        c = channel[i]
        s = _state(c, now, at, first, time)
        if s >= 0 and manager[s] >= 0:
            c = manager[s]
            s = _state(c, now, at, first, time)
        is_drums = c % 16 == DRUM_CHANNEL if s < 0 else drums[s]
        number = 0 if s < 0 else program[s]
        if is_drums != (c % 16 == DRUM_CHANNEL) and s >= 0:
            counts[reason[s]] += 1
        name = 128 if is_drums else number
        name += 256 * (c if kind != 1 else c - c % 16)
        if stamp[name] != track:
            if n > MOST_PARTS:
                break
            stamp[name], known[name] = track, n
            parts[0, n], parts[1, n], parts[2, n], parts[3, n], parts[4, n] = track, number, is_drums, channel[i], 0
            n += 1
        p = known[name]
        part[i] = p
        if parts[3, p] != channel[i] or parts[1, p] != number:
            parts[4, p] = 1
            parts[3, p] = min(parts[3, p], channel[i])
    return part, parts[:, :n], counts


@compiled
def _state(channel: int, now: int, at: Ints, first: Ints, time: Ints) -> int:
    """Index of a channel's state at a time, which comes after those of earlier calls; −1 before its first."""
    while at[channel] < first[channel + 1] and time[at[channel]] < now:
        at[channel] += 1
    return at[channel] - 1 if at[channel] > first[channel] else -1
