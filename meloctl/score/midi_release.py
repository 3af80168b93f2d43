"""Pedals, bends and pressure that would hang where a piece is cut or goes on: they are released there."""

from collections import Counter
from collections.abc import Collection

import numpy as np

from analysis.arrays import Bools
from analysis.midi_events import MidiEvents
from meloctl.score.midi_channels import event_channels
from meloctl.score.midi_edit import BEHIND, NewEvent, control_change

_PEDALS = {64: "sustain pedal", 66: "sostenuto pedal", 67: "soft pedal", 69: "hold pedal"}
"""Controllers that are on from 64 up."""

_RESET_ALL_CONTROLLERS = 121
_BEND_CENTRE = (0, 64)
_BEND, _PRESSURE = "pitch bend", "channel pressure"


def releases(
    events: MidiEvents, keep: Bools, tick: int, channels: Collection[int] | None = None
) -> tuple[list[NewEvent], Counter[str]]:
    """Events that release what hangs at a tick, and how often each kind of thing is released.

    Args:
        keep: (E,) the events that stay; what they leave in force is looked at.
        tick: where it is released, or later where an event behind it is what hangs.
        channels: on which channels; None for all.
    """
    hanging: dict[tuple[int, str], tuple[int, int, bytes]] = {}
    channel, track = event_channels(events), events.track
    kind = events.status & 0xF0
    acting = np.flatnonzero(keep & np.isin(kind, (0xB0, 0xD0, 0xE0)))
    for i in acting[np.argsort(events.tick[acting], kind="stable")].tolist():
        at, raw = int(channel[i]), events.raw(i)
        if raw[0] & 0xF0 == 0xB0 and raw[1] == _RESET_ALL_CONTROLLERS:
            for what in (*_PEDALS.values(), _BEND, _PRESSURE):
                hanging.pop((at, what), None)
            continue
        what, hangs, release = _effect(raw)
        if hangs:
            hanging[at, what] = int(track[i]), max(tick, int(events.tick[i])), release
        else:
            hanging.pop((at, what), None)
    chosen = {key: value for key, value in hanging.items() if channels is None or key[0] in channels}
    new = [NewEvent(track=t, tick=when, place=BEHIND, data=data) for t, when, data in chosen.values()]
    return new, Counter(what for _, what in chosen)


def _effect(raw: bytes) -> tuple[str, bool, bytes]:
    """What a controller, bend or pressure event acts on, whether it hangs after it, and the event that releases it."""
    channel = raw[0] & 0x0F
    if raw[0] & 0xF0 == 0xB0:
        return _PEDALS.get(raw[1], ""), raw[1] in _PEDALS and raw[2] >= 64, control_change(channel, raw[1], 0)
    if raw[0] & 0xF0 == 0xD0:
        return _PRESSURE, raw[1] > 0, bytes([raw[0], 0])
    return _BEND, (raw[1], raw[2]) != _BEND_CENTRE, bytes([raw[0], *_BEND_CENTRE])
