"""The notes that a MIDI file's events make: where each begins and ends, and in which part it sounds.

Note-offs end the note-ons of their track, channel and key, first in, first out. What a stretch of a key without a well-formed end
is read as, and which notes make a part, is said in docs/conventions.md.
"""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Ints
from analysis.channel_state import BY_BANK, BY_SYSEX, DRUM_CHANNEL, PHASES, PLAYING, ChannelStates
from analysis.compiled import compiled
from analysis.errors import MeloError
from analysis.midi_events import MOST_TICKS, Bytes, Int32s, MidiEvents

_Columns = tuple[Int32s, Int32s, Int32s, Bytes, Int32s, Int32s]
"""(N,) each: note-on, note-off, end tick, what ends it, the next note of its key, an idle note-off just before it."""

MOST_PARTS = 4_096
"""Parts that are told apart while a file is read."""

_OWN_OFF, _ALL_OFF, _STRUCK_AGAIN, _GRACE, _OPEN = range(5)
"""What ends a note: its note-off, All Notes Off, the next note-on of its key, its note-off just before it, or nothing."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FileNotes:
    """The N notes of a file in the order of their note-ons, and its P parts."""

    on: Int32s
    """(N,) index of the event that begins each note."""

    off: Int32s
    """(N,) index of its own note-off; −1 where it has none."""

    channel: Int32s
    """(N,) port · 16 + channel of each note."""

    onset_tick: Int32s
    end_tick: Int32s
    pitch: Bytes
    velocity: Bytes

    part: Int32s
    """(N,) index of its part."""

    part_track: Ints
    part_program: Ints
    """(P,) of drums the kit at their first note."""

    part_drums: Ints
    part_channel: Ints
    """(P,) the lowest channel, port · 16 + channel."""

    part_joined: Ints
    """(P,) 1 for a part on several channels or with several kits."""

    endless: int
    """Notes without an end: they last until their key is struck again, or to the end of their track."""

    all_off: int
    """Notes ended by All Notes Off or All Sound Off."""

    grace: int
    """Notes of length 0 whose note-off stands before their note-on."""

    drums_by_bank: int
    drums_by_sysex: int
    """Notes that a bank select, or a system exclusive message, makes drums, or no drums on channel 10."""


def file_notes(events: MidiEvents, states: ChannelStates) -> FileNotes:
    """The notes of a file. Raises MeloError for parts by the thousand."""
    data = np.frombuffer(events.data, dtype=np.uint8)
    columns = (events.first_event, events.tick, events.status, events.start, events.stop)
    on, channel, off, end, how, used = _paired(
        data, *columns, events.end_tick, states.all_off_event, states.all_off_first
    )
    endless = int((how == _STRUCK_AGAIN).sum())
    still_open = np.flatnonzero(how == _OPEN)
    if len(still_open):
        endless += _end_in_other_tracks(events, on, end, still_open, used)
    timeline = (states.first, states.time, states.program, states.drums, states.reason, states.manager)
    part, parts, counts = _in_parts(
        events.first_event, events.tick, 1 if events.format == 1 else 0, on, channel, *timeline
    )
    if parts.shape[1] > MOST_PARTS:
        raise MeloError(f"over {MOST_PARTS:,} parts; no piece has so many")
    order = np.lexsort((parts[1], parts[3], parts[0]))
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order))
    parts = parts[:, order]
    stop = events.stop[on]
    return FileNotes(
        on=on,
        off=off,
        channel=channel,
        onset_tick=events.tick[on],
        end_tick=end,
        pitch=data[stop - 2],
        velocity=np.minimum(data[stop - 1], 127),
        part=rank[part],
        part_track=parts[0],
        part_program=parts[1],
        part_drums=parts[2],
        part_channel=parts[3],
        part_joined=parts[4],
        endless=endless,
        all_off=int((how == _ALL_OFF).sum()),
        grace=int((how == _GRACE).sum()),
        drums_by_bank=int(counts[BY_BANK]),
        drums_by_sysex=int(counts[BY_SYSEX]),
    )


def _end_in_other_tracks(events: MidiEvents, on: Int32s, end: Int32s, still_open: Ints, used: Bytes) -> int:
    """End open notes where their key is let go in another track, if it is; how many are not ended so.

    Args:
        on, end: (N,) of all notes; `end` is changed.
        still_open: (M,) the open ones.
        used: (E,) 1 for each note-off that ended a note.
    """
    data, track = events.data, events.track
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


def event_ports(events: MidiEvents) -> Ints:
    """(E,) the port of each event."""
    port = np.zeros(len(events), dtype=np.int64)
    for e in np.flatnonzero(events.status == 0xFF).tolist():
        at = events.start[e]
        if events.data[at + 1] == 0x21 and events.data[at + 2] == 1:
            port[e : events.first_event[np.searchsorted(events.first_event, e, side="right")]] = (
                events.data[at + 3] & 0x7F
            )
    return port


@compiled
def _paired(
    data: Bytes,
    first_event: Int32s,
    tick: Int32s,
    status: Bytes,
    start: Int32s,
    stop: Int32s,
    end_tick: Int32s,
    all_off: Ints,
    all_off_first: Ints,
) -> tuple[Int32s, Int32s, Int32s, Int32s, Bytes, Bytes]:
    """Note-ons with their note-offs: (N,) event, channel, note-off or −1, end, what ends it; (E,) which note-offs end one."""
    total = 0
    for e in range(len(tick)):
        total += status[e] & 0xF0 == 0x90 and data[stop[e] - 1] > 0
    on, channel = np.empty(total, np.int32), np.empty(total, np.int32)
    notes = (
        on,
        np.full(total, -1, np.int32),  # off
        np.empty(total, np.int32),  # end
        np.full(total, _OPEN, np.uint8),  # what ends it
        np.full(total, -1, np.int32),  # the next note of the key
        np.full(total, -1, np.int32),  # a note-off just before it, at its tick, that ends nothing
    )
    _, off, end, how, following, before = notes
    used = np.zeros(len(tick), np.uint8)
    # Of each channel and key: the first note since none was open, the oldest open one, the last, a note-off that ended none.
    keys = np.full((4, 2048), -1, np.int32)
    first, head, last, idle = keys
    n_open, all_off_tick = np.zeros(16, np.int64), np.full(16, MOST_TICKS, np.int64)
    n = 0
    for k in range(len(first_event) - 1):
        port, begin = 0, n
        for e in range(first_event[k], first_event[k + 1]):
            code = int(status[e])
            kind, c = code & 0xF0, code & 15
            if kind == 0x90 or kind == 0x80:
                key = 128 * c + data[stop[e] - 2]
                if n_open[c] and all_off_tick[c] <= tick[e]:
                    _end_all(c, all_off_tick[c], tick, notes, used, keys, n_open)
                if kind == 0x90 and data[stop[e] - 1] > 0:
                    on[n], channel[n] = e, 16 * port + c
                    if idle[key] >= 0 and tick[idle[key]] == tick[e]:
                        before[n] = idle[key]
                    idle[key] = -1
                    if head[key] < 0:
                        first[key] = head[key] = n
                    else:
                        following[last[key]] = n
                    last[key] = n
                    n += 1
                    if not n_open[c] and len(all_off):
                        all_off_tick[c] = _all_off_behind(tick[e], tick, all_off, all_off_first, 16 * port + c)
                    n_open[c] += 1
                elif head[key] >= 0:
                    i = head[key]
                    off[i], end[i], how[i] = e, tick[e], _OWN_OFF
                    used[e] = 1
                    head[key] = following[i]
                    n_open[c] -= 1
                else:
                    idle[key] = e
            elif code == 0xFF and data[start[e] + 1] == 0x21 and data[start[e] + 2] == 1:
                port = data[start[e] + 3] & 0x7F
        for c in range(16):
            if n_open[c] and all_off_tick[c] < MOST_TICKS:
                _end_all(c, all_off_tick[c], tick, notes, used, keys, n_open)
        for i in range(begin, n):
            key = 128 * (status[on[i]] & 15) + data[stop[on[i]] - 2]
            if head[key] >= 0:
                _break_off(key, end_tick[k], False, tick, notes, used, keys)
            idle[key] = -1
        keys[:], n_open[:], all_off_tick[:] = -1, 0, MOST_TICKS
    return on, channel, off, end, how, used


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
def _end_all(channel: int, now: int, tick: Int32s, notes: _Columns, used: Bytes, keys: Int32s, n_open: Ints) -> None:
    """End all open notes of a channel at a tick."""
    for key in range(128 * channel, 128 * channel + 128):
        if keys[1, key] >= 0:
            _break_off(key, now, True, tick, notes, used, keys)
    n_open[channel] = 0


@compiled
def _break_off(key: int, now: int, by_all_off: bool, tick: Int32s, notes: _Columns, used: Bytes, keys: Int32s) -> None:
    """Read again the stretch of a key that All Notes Off, or the track's end, breaks off with open notes."""
    on, off, end, how, following, before = notes
    size = 0
    i = keys[0, key]
    while i >= 0:
        size += 1
        i = following[i]
    members, offs = np.empty(size, np.int32), np.empty(size, np.int32)
    n_offs = 0
    i = keys[0, key]
    for m in range(size):
        members[m] = i
        if off[i] >= 0:
            offs[n_offs] = off[i]
            used[off[i]] = 0
            n_offs += 1
        off[i] = -1
        i = following[i]
    keys[:3, key] = -1
    queue, q, waiting, j = np.empty(size, np.int32), 0, 0, 0
    idle = -1
    for i in members:
        while j < n_offs and offs[j] < on[i]:
            if waiting:
                waiting -= 1
            else:
                idle = offs[j]
            j += 1
        grace = before[i] if before[i] >= 0 else idle
        if grace >= 0 and tick[grace] == tick[on[i]]:
            off[i], end[i], how[i] = grace, tick[on[i]], _GRACE
            used[grace] = 1
            idle = -1
        else:
            queue[q] = i
            q += 1
            waiting += 1
    well_formed = waiting <= n_offs - j
    j = 0
    for m in range(q):
        i = queue[m]
        while j < n_offs and (used[offs[j]] or offs[j] < on[i]):
            j += 1
        again = m + 1 < q and not well_formed and (j == n_offs or on[queue[m + 1]] < offs[j])
        if again:
            end[i], how[i] = tick[on[queue[m + 1]]], _STRUCK_AGAIN
        elif j < n_offs:
            off[i], end[i], how[i] = offs[j], tick[offs[j]], _OWN_OFF
            used[offs[j]] = 1
        else:
            end[i], how[i] = now, _ALL_OFF if by_all_off else _OPEN


@compiled
def _in_parts(
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
    """(N,) part of each note; (5, P) track, program, drums, lowest channel and whether joined of each part; notes by reason."""
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
            parts[0, n], parts[1, n], parts[2, n], parts[3, n], parts[4, n] = track, number, is_drums, c, 0
            n += 1
        p = known[name]
        part[i] = p
        if parts[3, p] != c or channel[i] != c or parts[1, p] != number:
            parts[4, p] = 1
            parts[3, p] = min(parts[3, p], c)
    return part, parts[:, :n], counts


@compiled
def _state(channel: int, now: int, at: Ints, first: Ints, time: Ints) -> int:
    """Index of a channel's state at a time, which comes after those of earlier calls; −1 before its first."""
    while at[channel] < first[channel + 1] and time[at[channel]] < now:
        at[channel] += 1
    return at[channel] - 1 if at[channel] > first[channel] else -1
