"""What each MIDI channel plays, and from when: program and drum mode in force, and the events that end all notes.

Program changes, bank selects, rhythm-part messages and MPE zones act on a channel of a port from their tick on, whichever track
holds them. Sources: Standard MIDI Files 1.0; General MIDI 2 (banks 120 and 121); Yamaha XG (banks 126 and 127, part mode); Roland
GS (use for rhythm part); MIDI Polyphonic Expression 1.1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.arrays import Ints
from analysis.compiled import compiled
from analysis.errors import MeloError
from analysis.midi_events import SYSEX, Bytes, Int32s, MidiEvents
from analysis.sysex_packets import whole_messages

CHANNELS = 16
"""Channels of a port; a channel's number here is port · 16 + channel, from 0."""

DRUM_CHANNEL = 9

BY_DEFAULT, BY_BANK, BY_SYSEX = range(3)
"""What made a channel play drums, or not."""

PHASES = 23
"""Bits of a time below its tick: two of the phase within the tick, 21 of the event's index."""

_RESET, _LEADING, PLAYING = range(3)
"""Phases of a tick: system resets; what stands before the first note of its track; the rest."""

_NONE, _GM, _GS, _XG = range(4)
"""Modes of a port, by the last reset."""

_MOST_ZONES = 1_000
"""MPE zones that a file may set up."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelStates:
    """States of channels: S of them, by channel, then by time."""

    first: Ints
    """(ports · 16 + 1,) index of each channel's first state; a channel without one plays program 0, drums if it is the tenth."""

    time: Ints
    """(S,) time from which the state holds: tick · 2^23 + phase · 2^21 + index of the event."""

    program: Ints
    """(S,)"""

    drums: Ints
    """(S,) 1 where the channel plays drums."""

    reason: Ints
    """(S,) BY_DEFAULT, BY_BANK or BY_SYSEX."""

    manager: Ints
    """(S,) the channel whose state holds instead (MPE); −1 where it is the channel's own."""

    all_off_event: Ints
    """(A,) events that end all notes of a channel, by channel, tick and index."""

    all_off_first: Ints
    """(ports · 16 + 1,) index of each channel's first."""


def channel_states(events: MidiEvents) -> ChannelStates:
    """The states of all channels of a file. Raises MeloError for MPE zones by the thousand."""
    data, status, start, stop = whole_messages(events)
    found = np.empty((5, len(events.marked)), np.int64)
    n, n_off, ports = _choose(
        data, events.marked, events.first_event, events.first_port, events.tick, status, start, stop, found
    )
    chosen, time, port = found[:3, :n]
    off, off_channel = found[3:, :n_off]
    order = np.argsort(time, kind="stable")
    states = _states(data, status, start, stop, chosen[order], time[order], port[order], ports)
    if states is None:
        raise MeloError(f"damaged: over {_MOST_ZONES:,} MPE zones")
    states = states[:, np.argsort(states[0], kind="stable")]
    if len(off):
        order = np.lexsort((off, events.tick[off], off_channel))
        off, off_channel = off[order], off_channel[order]
    numbers = np.arange(CHANNELS * ports + 1)
    return ChannelStates(
        first=np.searchsorted(states[0], numbers),
        time=states[1],
        program=states[2],
        drums=states[3],
        reason=states[4],
        manager=states[5],
        all_off_event=off,
        all_off_first=np.searchsorted(off_channel, numbers),
    )


@compiled
def _choose(
    data: Bytes,
    marked: Int32s,
    first_event: Int32s,
    first_port: Int32s,
    tick: Int32s,
    status: Bytes,
    start: Int32s,
    stop: Int32s,
    found: Ints,
) -> tuple[int, int, int]:
    """Find the events that change a state, and those that end all notes; how many each, and the ports.

    Args:
        data to stop: of the file.
        found: (5, M) to be filled: event, time and port of the former, event and channel of the latter.
    """
    chosen, time, port, offs, channels = found
    n = off = track_port = scanned = 0
    ports, k = 1, -1
    noted = np.int64(-1)  # the tick of the track's last note-on, if a marked event has that tick
    for e in marked:
        if e >= first_event[k + 1]:
            while e >= first_event[k + 1]:
                k += 1
            track_port, scanned, noted = first_port[k], first_event[k], np.int64(-1)
        code = status[e]
        if code == 0xFF:
            if data[start[e] + 1] == 0x21 and data[start[e] + 2] == 1:
                track_port = data[start[e] + 3] & 0x7F
                ports = max(ports, track_port + 1)
        elif _changes_state(data, code, start[e], stop[e]):
            at = e - 1
            while at >= scanned and tick[at] == tick[e] and noted != tick[e]:
                if status[at] & 0xF0 == 0x90 and data[stop[at] - 1] > 0:
                    noted = np.int64(tick[e])
                at -= 1
            scanned = e
            reset = code == 0xF0 and _sysex(data, start[e], stop[e])[0] < 4
            phase = _RESET if reset else PLAYING if noted == tick[e] else _LEADING
            chosen[n], port[n] = e, track_port
            time[n] = (np.int64(tick[e]) << PHASES) | (phase << PHASES - 2) | e
            n += 1
        elif _ends_notes(data, code, stop[e]):
            offs[off], channels[off] = e, 16 * track_port + (code & 15)
            off += 1
    return n, off, ports


@compiled
def _changes_state(data: Bytes, code: int, start: int, stop: int) -> bool:
    """Whether an event may change what a channel plays."""
    kind = code & 0xF0
    if kind == 0xC0:
        return True
    if kind == 0xB0:
        control = int(data[stop - 2])
        return control in (0, 6, 98, 99, 100, 101)
    return code == 0xF0 and _sysex(data, start, stop)[0] > 0


@compiled
def _ends_notes(data: Bytes, code: int, stop: int) -> bool:
    """Whether an event is All Sound Off, All Notes Off, or a change of mode, which means All Notes Off too."""
    if code & 0xF0 != 0xB0:
        return False
    control = min(int(data[stop - 2]), 127)
    return control == 120 or control >= 123


def is_system_reset(events: MidiEvents, event: int) -> bool:
    """Whether an event is GM On, GM2 On, GS Reset or XG System On."""
    data = np.frombuffer(events.data, dtype=np.uint8)
    kind = _sysex(data, events.start[event], events.stop[event])[0] if events.status[event] == SYSEX else 0
    return 0 < kind < 4


@compiled
def _sysex(data: Bytes, start: int, stop: int) -> tuple[int, Any, Any]:
    """(kind, channel, value) of a system exclusive message: 1 GM, 2 GS, 3 XG reset; 4 GS rhythm part, 5 XG part mode; 0 none."""
    at = start + 1
    while data[at] > 0x7F:
        at += 1
    at += 1
    n = stop - at
    if n < 5 or data[stop - 1] != 0xF7:
        return 0, 0, 0
    if data[at] == 0x7E and n == 5 and data[at + 2] == 9 and (data[at + 3] == 1 or data[at + 3] == 3):
        return 1, 0, 0
    if n == 10 and data[at] == 0x41 and data[at + 2] == 0x42 and data[at + 3] == 0x12:
        total = 0
        for i in range(at + 4, at + 9):
            total += data[i]
        if total % 128:
            return 0, 0, 0
        first, second, third, value = data[at + 4], data[at + 5], data[at + 6], data[at + 7]
        if second == 0 and third == 0x7F and ((first == 0x40 and value == 0) or (first == 0 and value < 2)):
            return 2, 0, 0
        if (first == 0x40 or first == 0x50) and second >> 4 == 1 and third == 0x15 and value < 3:
            block = np.int64(second & 15)
            return 4, 9 if block == 0 else block - 1 if block < 10 else block, np.int64(value)
    if n == 8 and data[at] == 0x43 and data[at + 1] & 0xF0 == 0x10 and data[at + 2] == 0x4C:
        if data[at + 3] == 0 and data[at + 4] == 0 and data[at + 5] == 0x7E and data[at + 6] == 0:
            return 3, 0, 0
        if data[at + 3] == 8 and data[at + 4] < 16 and data[at + 5] == 7:
            return 5, np.int64(data[at + 4]), np.int64(data[at + 6])
    return 0, 0, 0


@compiled
def _states(
    data: Bytes, status: Bytes, start: Int32s, stop: Int32s, chosen: Ints, time: Ints, port: Ints, ports: int
) -> Ints | None:
    """(6, S) channel, time, program, drums, reason and manager of all states, in order of time; None for too many zones.

    Args:
        chosen, time, port: (n,) the events that change a state, in order of time.
    """
    state = np.zeros((4, 16 * ports), np.int64)  # program, drums, reason, manager
    state[1, 9::16] = 1
    state[3] = -1
    bank = np.full(16 * ports, -1, np.int64)
    parameter = np.full(16 * ports, 0x3FFF, np.int64)
    mode = np.zeros(ports, np.int64)
    # An event changes one channel. A reset changes those that others changed before it, a zone fifteen.
    states = np.empty((6, 2 * len(chosen) + 32 * min(len(chosen), _MOST_ZONES)), np.int64)
    new = np.empty(4, np.int64)  # of one channel
    n = zones = 0
    for i in range(len(chosen)):
        e, base = chosen[i], 16 * port[i]
        code = int(status[e])
        c = base + (code & 15)
        if code == 0xF0:
            kind, channel, value = _sysex(data, start[e], stop[e])
            if kind < 4:
                mode[port[i]] = kind
                for c in range(base, base + 16):
                    bank[c], parameter[c] = -1, 0x3FFF
                    new[0], new[1], new[2], new[3] = 0, c % 16 == DRUM_CHANNEL, BY_DEFAULT, -1
                    n = _set(states, n, time[i], state, c, new)
            else:
                c = base + channel
                bank[c] = -1  # only a bank that is given behind it changes the channel again
                new[0], new[1], new[2], new[3] = state[0, c], value > 0, BY_SYSEX, state[3, c]
                n = _set(states, n, time[i], state, c, new)
            continue
        value = min(data[stop[e] - 1], 127)
        if code & 0xF0 == 0xC0:
            drums, reason = _by_bank(mode[port[i]], bank[c], c, state[1, c], state[2, c])
            new[0], new[1], new[2], new[3] = value, drums, reason, state[3, c]
            n = _set(states, n, time[i], state, c, new)
            continue
        control = data[stop[e] - 2]
        if control == 0:
            bank[c] = value
        elif control == 6:
            if parameter[c] == 6 and (c % 16 == 0 or c % 16 == 15) and value <= 15:
                zones += 1
                if zones > _MOST_ZONES:
                    return None
                for k in range(16):  # the manager, which is no member of the other zone, and those below it
                    member = c + k if c % 16 == 0 else c - k
                    if (k <= value and value > 0) or state[3, member] == c:
                        new[0], new[1], new[2] = state[0, member], state[1, member], state[2, member]
                        new[3] = c if 0 < k <= value else -1
                        n = _set(states, n, time[i], state, member, new)
        else:
            parameter[c] = _parameter(parameter[c], control, value)
    return states[:, :n]


@compiled
def _set(states: Ints, n: int, time: int, state: Ints, c: int, new: Ints) -> int:
    """Change a channel's state, and write it down if that is another than before; the number of states.

    Args:
        states: (6, S or more) what is written down.
        state: (4, C) program, drums, reason and manager of each channel now.
        new: (4,) of channel `c`.
    """
    if state[0, c] == new[0] and state[1, c] == new[1] and state[2, c] == new[2] and state[3, c] == new[3]:
        return n
    states[0, n], states[1, n] = c, time
    for i in range(4):
        state[i, c] = states[2 + i, n] = new[i]
    return n + 1


@compiled
def _parameter(parameter: int, control: int, value: int) -> int:
    """The registered parameter that controllers 98 to 101 choose; 3FFF where none is chosen."""
    if control == 101:
        return (parameter & 0x7F) | (value << 7)
    return (parameter & 0x3F80) | value if control == 100 else 0x3FFF


@compiled
def _by_bank(mode: int, bank: int, channel: int, drums: int, reason: int) -> tuple[int, int]:
    """Drum mode and reason after a program change, by the bank selected before it, −1 if none was.

    What a message set stays, but for a bank of XG. Another bank than those of drums makes a channel what it was at the start.
    """
    if mode == _GS or (reason == BY_SYSEX and (mode != _XG or bank < 0)):
        return drums, reason
    if bank == 120 or bank == 126 or bank == 127:
        return 1, BY_BANK
    if bank == 121 or (mode == _XG and bank >= 0):
        return 0, BY_BANK
    return int(channel % 16 == DRUM_CHANNEL), BY_DEFAULT
