"""Kinds of MIDI events by name, for people."""

from collections import Counter

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.midi_events import MidiEvents

_CHANNEL_MESSAGES = {
    0x80: "note-off",
    0x90: "note-on",
    0xA0: "key pressure",
    0xB0: "control change",
    0xC0: "program change",
    0xD0: "channel pressure",
    0xE0: "pitch bend",
}
_META_EVENTS = {
    0x01: "text",
    0x02: "copyright",
    0x03: "name",
    0x04: "instrument name",
    0x05: "lyric",
    0x06: "marker",
    0x07: "cue point",
    0x20: "channel prefix",
    0x21: "port",
    0x51: "tempo",
    0x54: "SMPTE offset",
    0x58: "time signature",
    0x59: "key signature",
}
NAME, PORT, TEMPO, TIME_SIGNATURE = 0x03, 0x21, 0x51, 0x58
"""Types of meta events. A port is where the events of its track go from there on."""


def meta_kinds(events: MidiEvents) -> Ints:
    """(E,) the type of each meta event; −1 for other events."""
    data = np.frombuffer(events.data, dtype=np.uint8)
    kind = data[np.minimum(events.start + 1, len(data) - 1)].astype(np.int64)
    return np.where(events.status == 0xFF, kind, -1)


def count_kinds(events: MidiEvents, chosen: Bools) -> Counter[str]:
    """How many events of each kind are among those chosen (E,)."""
    status, meta = events.status[chosen], meta_kinds(events)[chosen]
    found: Counter[str] = Counter()
    for (s, m), n in Counter(zip(status.tolist(), meta.tolist(), strict=True)).items():
        name = (
            _META_EVENTS.get(m, "other meta event") if s == 0xFF else _CHANNEL_MESSAGES.get(s & 0xF0, "system message")
        )
        found[name] += n
    return found
