"""Where each note of a MIDI file begins and ends.

Note-offs end the note-ons of their track, channel and key, first in, first out. What a stretch of a key without a well-formed end
is read as is said in docs/conventions.md.
"""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Ints
from analysis.channel_state import ChannelStates
from analysis.compiled import compiled
from analysis.midi_events import MOST_TICKS, Bytes, Int32s, MidiEvents
from analysis.midi_ports import event_ports

_COLUMNS = 11
"""Of all notes, (N,) each: note-on, note-off, end tick, what ends it, the next of its chain, an idle note-off just before it,
channel, onset tick, pitch, velocity, and whether it was struck while none of its key was open."""

_OWN_OFF, _ALL_OFF, _STRUCK_AGAIN, _GRACE, _OPEN = range(5)
"""What ends a note: its note-off, All Notes Off, the next note-on of its key, its note-off just before it, or nothing."""


@dataclass(frozen=True, kw_only=True)
class NoteEnds:
    """How many notes end otherwise than by a note-off of their own."""

    endless: int
    """Notes without an end: they last until their key is struck again, or to the end of their track."""

    all_off: int
    """Notes ended by All Notes Off or All Sound Off."""

    grace: int
    """Notes of length 0 whose note-off stands before their note-on."""


def note_ends(events: MidiEvents, states: ChannelStates) -> tuple[Int32s, NoteEnds]:
    """(11, N) the notes' columns (`_COLUMNS`) in the order of their note-ons, and how many end in other ways."""
    # What compiled code fills is made here: numba takes 3 µs for each array that it returns.
    notes = np.empty((_COLUMNS, events.note_ons), dtype=np.int32)
    used = np.zeros(len(events), dtype=np.uint8)
    ends = np.zeros(5, dtype=np.int64)
    data = np.frombuffer(events.data, dtype=np.uint8)
    columns = (events.first_event, events.first_port, events.tick, events.status, events.start, events.stop)
    _pair(data, *columns, events.end_tick, states.all_off_event, states.all_off_first, notes, used, ends)
    endless = int(ends[_STRUCK_AGAIN])
    if ends[_OPEN]:
        endless += _end_in_other_tracks(events, notes, used)
    counts = NoteEnds(endless=endless, all_off=int(ends[_ALL_OFF]), grace=int(ends[_GRACE]))
    return notes, counts


def _end_in_other_tracks(events: MidiEvents, notes: Int32s, used: Bytes) -> int:
    """End open notes where their key is let go in another track, if it is; how many are not ended so.

    Args:
        notes: (11, N) columns of all notes; their ends are changed.
        used: (E,) 1 for each note-off that ended a note.
    """
    data, track = events.data, events.track
    on, end, still_open = notes[0], notes[2], np.flatnonzero(notes[3] == _OPEN)
    port = event_ports(events)
    kind = events.status & 0xF0
    force = np.frombuffer(data, dtype=np.uint8)[events.stop - 1]
    offs = np.flatnonzero((used == 0) & ((kind == 0x80) | ((kind == 0x90) & (force == 0))))
    free: dict[tuple[int, int, int], list[tuple[int, int, int]]] = {}

    def key(event: int) -> tuple[int, int, int]:
        return int(port[event]), int(events.status[event]) & 15, data[events.stop[event] - 2]

    for e in offs.tolist():
        free.setdefault(key(e), []).append((int(events.tick[e]), int(track[e]), e))
    for those in free.values():
        those.sort()
    endless = 0
    for note in sorted(still_open.tolist(), key=lambda i: (events.tick[on[i]], on[i])):
        e = int(on[note])
        those = free.get(key(e), [])
        i = bisect_right(those, (int(events.tick[e]), len(events.tracks), 0))
        i = next((j for j in range(i, len(those)) if those[j][1] != track[e]), len(those))
        if i < len(those):
            end[note] = those.pop(i)[0]
        else:
            endless += 1
    return endless


@compiled
def _pair(
    data: Bytes,
    first_event: Int32s,
    first_ports: Int32s,
    tick: Int32s,
    status: Bytes,
    start: Int32s,
    stop: Int32s,
    end_tick: Int32s,
    all_off: Ints,
    all_off_first: Ints,
    notes: Int32s,
    used: Bytes,
    ends: Ints,
) -> None:
    """Find the notes and their ends.

    Args:
        data to all_off_first: of the file.
        notes: (11, N) to be filled.
        used: (E,) zeros; 1 for each note-off that ends a note.
        ends: (5,) zeros; how many notes end in each way.
    """
    on, off, end, how, following, before, channel, onset, pitch, velocity, opens = notes
    earlier = np.empty(len(tick), np.int32)  # of a note-off that ends nothing, the one before it at its tick
    # Of each channel and key: the first note of its chain, the oldest open one, the last, a note-off that ended none. A chain is
    # the notes since none was open, and those before that ended at the tick at which the next was struck.
    keys = np.full((4, 2048), -1, np.int32)
    first, head, last, idle = keys
    n_open, all_off_tick = np.zeros(16, np.int64), np.full(16, MOST_TICKS, np.int64)
    n = 0
    for k in range(len(first_event) - 1):
        port, begin, first_port, first_e = int(first_ports[k]), n, -1, first_event[k]
        for e in range(first_event[k], first_event[k + 1]):
            code = int(status[e])
            kind, c = code & 0xF0, code & 15
            if kind == 0x90 or kind == 0x80:
                key = 128 * c + data[stop[e] - 2]
                struck = kind == 0x90 and data[stop[e] - 1] > 0
                # note-offs of the very tick that stand before its first note-on end their notes themselves
                if n_open[c] and (all_off_tick[c] < tick[e] or (struck and all_off_tick[c] == tick[e])):
                    _end_all(c, all_off_tick[c], tick, notes, used, keys, n_open)
                if struck:
                    first_port = port if first_port < 0 else first_port
                    on[n], channel[n], how[n] = e, 16 * port + c, _OPEN
                    onset[n], pitch[n], velocity[n] = tick[e], data[stop[e] - 2], min(data[stop[e] - 1], 127)
                    off[n], following[n], before[n], opens[n] = -1, -1, -1, head[key] < 0
                    if idle[key] >= first_e and tick[idle[key]] == tick[e]:
                        before[n], idle[key] = idle[key], earlier[idle[key]]
                    else:
                        idle[key] = -1
                    if opens[n]:
                        head[key] = n
                    if last[key] >= 0 and (not opens[n] or end[last[key]] == tick[e]):
                        following[last[key]] = n
                    else:
                        first[key] = n
                    last[key] = n
                    n += 1
                    if not n_open[c] and len(all_off):
                        all_off_tick[c] = _all_off_behind(tick[e], tick, all_off, all_off_first, 16 * first_port + c)
                    n_open[c] += 1
                elif head[key] >= 0:
                    i = head[key]
                    off[i], end[i], how[i] = e, tick[e], _OWN_OFF
                    used[e] = 1
                    head[key] = following[i]
                    n_open[c] -= 1
                else:
                    same = idle[key] >= first_e and tick[idle[key]] == tick[e]
                    earlier[e] = idle[key] if same else -1
                    idle[key] = e
            elif code == 0xFF and data[start[e] + 1] == 0x21 and data[start[e] + 2] == 1:
                port = int(data[start[e] + 3] & 0x7F)
        for c in range(16):
            if n_open[c] and all_off_tick[c] < MOST_TICKS:
                _end_all(c, all_off_tick[c], tick, notes, used, keys, n_open)
        for i in range(begin, n):
            key = 128 * (status[on[i]] & 15) + data[stop[on[i]] - 2]
            if head[key] >= 0:
                _break_off(key, np.int64(end_tick[k]), np.int64(_OPEN), tick, notes, used, keys)
            ends[how[i]] += 1
            keys[
                :, key
            ] = -1  # what is left are note-offs of keys that the track never strikes; they lie before the next track
        n_open[:], all_off_tick[:] = 0, MOST_TICKS


@compiled
def _all_off_behind(now: int, tick: Int32s, all_off: Ints, all_off_first: Ints, channel: int) -> int:
    """Tick of the first All Notes Off of a channel behind a tick; 2^31 where there is none."""
    low, high = all_off_first[channel], all_off_first[channel + 1]
    last = high
    while low < high:
        middle = (low + high) // 2
        if tick[all_off[middle]] > now:
            high = middle
        else:
            low = middle + 1
    return MOST_TICKS if low == last else int(tick[all_off[low]])


@compiled
def _end_all(channel: int, now: int, tick: Int32s, notes: Int32s, used: Bytes, keys: Int32s, n_open: Ints) -> None:
    """End all open notes of a channel at a tick."""
    for key in range(128 * channel, 128 * channel + 128):
        if keys[1, key] >= 0:
            _break_off(key, now, np.int64(_ALL_OFF), tick, notes, used, keys)
    n_open[channel] = 0


@compiled
def _break_off(
    key: int, now: int | np.int64, last: np.int64, tick: Int32s, notes: Int32s, used: Bytes, keys: Int32s
) -> None:
    """Read again the stretch of a key that All Notes Off, or the track's end, breaks off with open notes.

    Where that leaves a note open, the stretches of its chain are read with it, from the nearest before which a note-off is idle.
    """
    on, off, end, how, before, opens = notes[0], notes[1], notes[2], notes[3], notes[5], notes[10]
    chain, stretch = _chain(keys[0, key], notes)
    keys[:3, key] = -1
    grace = np.empty(len(chain), np.int32)
    begin = stretch
    well_formed = _explain(chain[begin:], grace, tick, on, off, before)
    while begin and not well_formed:
        begin -= 1
        if opens[chain[begin]] and before[chain[begin]] >= 0:
            well_formed = _explain(chain[begin:], grace, tick, on, off, before)
            break
    if not well_formed:
        begin = stretch
        _explain(chain[begin:], grace, tick, on, off, before)
    members = chain[begin:]
    offs = _offs(members, off)
    for e in offs:
        used[e] = 0
    for m in range(len(members)):
        i = members[m]
        off[i] = grace[m]
        if grace[m] >= 0:
            end[i], how[i], used[grace[m]] = tick[on[i]], _GRACE, 1
    queue = members[grace[: len(members)] < 0]
    j = 0
    for m in range(len(queue)):
        i = queue[m]
        while j < len(offs) and (used[offs[j]] or offs[j] < on[i]):
            j += 1
        again = m + 1 < len(queue) and not well_formed and (j == len(offs) or on[queue[m + 1]] < offs[j])
        if again:
            end[i], how[i] = tick[on[queue[m + 1]]], _STRUCK_AGAIN
        elif j < len(offs):
            off[i], end[i], how[i], used[offs[j]] = offs[j], tick[offs[j]], _OWN_OFF, 1
        else:
            end[i], how[i] = now, last


@compiled
def _chain(first: int, notes: Int32s) -> tuple[Int32s, int]:
    """(n,) notes of a chain, and where in it the last stretch begins."""
    following, opens = notes[4], notes[10]
    size = stretch = 0
    i = first
    while i >= 0:
        size += 1
        i = following[i]
    chain = np.empty(size, np.int32)
    i = first
    for m in range(size):
        chain[m] = i
        if opens[i]:
            stretch = m
        i = following[i]
    return chain, stretch


@compiled
def _offs(members: Int32s, off: Int32s) -> Int32s:
    """The note-offs of notes that were matched first in, first out."""
    offs = np.empty(len(members), np.int32)
    n = 0
    for i in members:
        if off[i] >= 0:
            offs[n] = off[i]
            n += 1
    return offs[:n]


@compiled
def _explain(members: Int32s, grace: Int32s, tick: Int32s, on: Int32s, off: Int32s, before: Int32s) -> bool:
    """Fill in, for each note, the idle note-off just before it, or −1; whether note-offs then end all others."""
    offs = _offs(members, off)
    idle = np.empty(len(offs), np.int32)
    n_idle = waiting = j = 0
    for m in range(len(members)):
        i = members[m]
        while j < len(offs) and offs[j] < on[i]:
            if waiting:
                waiting -= 1
            else:
                idle[n_idle] = offs[j]
                n_idle += 1
            j += 1
        if before[i] >= 0:
            grace[m] = before[i]
        elif n_idle and tick[idle[n_idle - 1]] == tick[on[i]]:
            n_idle -= 1
            grace[m] = idle[n_idle]
        else:
            grace[m] = -1
            waiting += 1
    return waiting <= len(offs) - j
