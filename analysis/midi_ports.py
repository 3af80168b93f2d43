"""The port of each event of a MIDI file: the one that its track named last (FF 21), or the one that the track begins on."""

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.midi_events import META, MidiEvents

PORT = 0x21
"""Meta event with a port."""


def ports_of(events: MidiEvents, chosen: Ints, keep: Bools | None = None) -> Ints:
    """(n,) the port of each of some events, behind the event itself.

    Args:
        events: of a file, E of them.
        chosen: (n,) indices of events.
        keep: (E,) False for events that name no port any more; None for none of them.
    """
    data = np.frombuffer(events.data, dtype=np.uint8)
    metas = events.marked[events.status[events.marked] == META]
    named = metas[(data[events.start[metas] + 1] == PORT) & (data[events.start[metas] + 2] == 1)]
    if keep is not None:
        named = named[keep[named]]
    at = np.concatenate([events.first_event[:-1], named])
    port = np.concatenate([events.first_port.astype(np.int64), data[events.start[named] + 3].astype(np.int64) & 0x7F])
    order = np.argsort(at, kind="stable")
    found: Ints = port[order][np.searchsorted(at[order], chosen, side="right") - 1]
    return found


def event_ports(events: MidiEvents, keep: Bools | None = None) -> Ints:
    """(E,) the port of each event; `keep` as in `ports_of`."""
    return ports_of(events, np.arange(len(events)), keep)
