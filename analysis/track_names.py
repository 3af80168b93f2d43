"""The names of a MIDI file's tracks as they can be shown."""

from collections.abc import Iterator
from itertools import islice

import numpy as np

from analysis.arrays import Ints
from analysis.midi_events import META, MidiEvents
from analysis.shown_text import shown_texts

_MOST_TEXTS = 1000
"""Texts of a file beside its names that are looked at."""


def track_names(events: MidiEvents, name_events: Ints) -> dict[int, str]:
    """The first name of each track that has one that is not empty, in the code page of all names and texts of the file.

    Args:
        events: of the file.
        name_events: (N,) indices of the meta events with names of tracks (FF 03), ascending.
    """
    names: dict[int, bytes] = {}
    tracks = np.searchsorted(events.first_event, name_events, side="right") - 1
    for event, track in zip(name_events.tolist(), tracks.tolist(), strict=True):
        if track not in names and (text := events.payload(event)):
            names[track] = text
    return dict(zip(names, shown_texts(list(names.values()), islice(_other_texts(events), _MOST_TEXTS)), strict=True))


def channel_names(events: MidiEvents, name_events: Ints) -> dict[tuple[int, int], str]:
    """{(track, channel): name} of the names that a channel prefix (FF 20) gives to one channel of their track.

    It holds to the next channel message (Standard MIDI Files 1.0). Where all channels share one track, their names stand so.

    Args:
        events: of the file.
        name_events: (N,) indices of the meta events with names (FF 03), ascending.
    """
    data = np.frombuffer(events.data, dtype=np.uint8)
    metas = events.marked[events.status[events.marked] == META]
    prefixes = metas[(data[events.start[metas] + 1] == 0x20) & (data[events.start[metas] + 2] == 1)]
    at = np.searchsorted(prefixes, name_events) - 1
    messages = np.cumsum(events.status < 0xF0)
    names: dict[tuple[int, int], bytes] = {}
    for event, i in zip(name_events.tolist(), at.tolist(), strict=True):
        prefix = int(prefixes[i]) if i >= 0 else -1
        track = int(np.searchsorted(events.first_event, event, side="right")) - 1
        if prefix >= events.first_event[track] and messages[prefix] == messages[event]:
            channel = events.data[int(events.start[prefix]) + 3] & 15
            if text := events.payload(event):
                names.setdefault((track, channel), text)
    return dict(zip(names, shown_texts(list(names.values()), islice(_other_texts(events), _MOST_TEXTS)), strict=True))


def _other_texts(events: MidiEvents) -> Iterator[bytes]:
    """Texts, copyrights, names of instruments, lyrics, markers and cue points that are not plain ASCII."""
    metas = events.marked[events.status[events.marked] == META]
    kind = np.frombuffer(events.data, dtype=np.uint8)[events.start[metas] + 1]
    for event in metas[(kind >= 0x01) & (kind <= 0x07) & (kind != 0x03)].tolist():
        if not (text := events.payload(event)).isascii():
            yield text
