"""System exclusive messages that come in packets: an F0 event without its F7, then F7 events that go on it (SMF 1.0)."""

import numpy as np

from analysis.midi_events import ESCAPE, SYSEX, Bytes, Int32s, MidiEvents

_LONGEST_MESSAGE = 16
"""Bytes of a message that are looked at where it comes in packets: those that change a channel have ten."""


def whole_messages(events: MidiEvents) -> tuple[Bytes, Bytes, Int32s, Int32s]:
    """Bytes, status, start and stop of the events; a short message in packets (F0 …, F7 … F7) is whole at its last packet.

    Any status but that of a meta or real-time event between the packets breaks the message off (MIDI 1.0).
    """
    data, status, start, stop = np.frombuffer(events.data, np.uint8), events.status, events.start, events.stop
    kind = status[events.marked]
    if not (kind == ESCAPE).any():
        return data, status, start, stop
    sysex = events.marked[(kind == SYSEX) | (kind == ESCAPE)]
    unfinished = np.flatnonzero((status[sysex] == SYSEX) & (data[stop[sysex] - 1] != 0xF7))
    breaks, track = np.cumsum((status < 0xF7) & (status != SYSEX)), events.track
    status, start, stop, added = status.copy(), start.copy(), stop.copy(), bytearray()
    for first in unfinished.tolist():
        begin = int(sysex[first])
        message = events.payload(begin)
        for e in map(int, sysex[first + 1 :]):
            if events.status[e] == SYSEX or breaks[e] != breaks[begin] or track[e] != track[begin]:
                break
            message += events.payload(e)
            if len(message) > _LONGEST_MESSAGE:
                break
            if message.endswith(b"\xf7"):
                status[e], start[e] = SYSEX, len(data) + len(added)
                added += bytes([SYSEX, len(message)]) + message
                stop[e] = len(data) + len(added)
                break
    return np.frombuffer(events.data + added, np.uint8), status, start, stop
