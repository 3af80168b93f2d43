"""Durations as a pianist hears them: the sustain pedal holds what is released while it is down."""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Ints
from analysis.channel_state import PHASES, ChannelStates
from analysis.midi_events import MidiEvents
from analysis.midi_ports import ports_of

SILENCE = -1
"""All Sound Off: ends what a pedal holds, and leaves the pedal where it is."""

_DOWN = 64
"""The pedal is down from this value on (MIDI 1.0: 0 to 63 is off)."""

_SUSTAIN, _ALL_SOUND_OFF, _RESET_ALL = 64, 120, 121
"""Controllers; the last lifts the pedal among others."""

_PORT = 0x21
_TICK_BITS = 32
_NEVER = 1 << _TICK_BITS


@dataclass(frozen=True, kw_only=True, eq=False)
class PedalEvents:
    """What the sustain pedals of all channels do, E events, in order of time."""

    tick: Ints
    channel: Ints
    """(E,) port · 16 + channel, from 0."""

    value: Ints
    """(E,) 0..127, or SILENCE."""


def sustained_end(
    onset_tick: Ints, end_tick: Ints, pitch: Ints, channel: Ints, manager: Ints, *, pedals: PedalEvents, last_tick: int
) -> Ints:
    """(N,) the tick at which each of N notes stops sounding under the pedals of its channel and of that channel's manager.

    A note that is released while the pedal is down sounds until the pedal is lifted, or until its key is struck again; where
    neither happens, until `last_tick`. At the very tick of the release, a pedal that goes down holds the note no more, and one
    that is lifted holds it no longer.

    Args:
        onset_tick: (N,) tick at which each key is struck.
        end_tick: (N,) tick at which it is released.
        pitch: (N,) the keys, 0..127.
        channel: (N,) port · 16 + channel.
        manager: (N,) the channel whose pedal acts on the note's channel too (MPE), or the same channel.
        pedals: the pedals.
        last_tick: end of the music.
    """
    at = (pedals.channel << _TICK_BITS) + pedals.tick
    order = np.argsort(at, kind="stable")
    at, value = at[order], pedals.value[order]
    foot = value != SILENCE
    key = (channel << 7) | pitch
    struck = np.sort((key << _TICK_BITS) + onset_tick)
    again = _next(struck, (key << _TICK_BITS) + np.maximum(end_tick, onset_tick + 1), key, _NEVER)
    end = end_tick
    for pedal in (channel, manager):
        release = (pedal << _TICK_BITS) + end_tick
        down = _latest(at[foot], value[foot] >= _DOWN, release, pedal)
        lifted = _next(at[value < _DOWN], release, pedal, last_tick)
        end = np.where(down, np.maximum(end, np.minimum(lifted, again)), end)
    return end


def managers(states: ChannelStates, channel: Ints, tick: Ints) -> Ints:
    """(N,) the MPE manager of each channel at a tick: the channel itself where it has none.

    Args:
        states: the channels of a file.
        channel: (N,) port · 16 + channel.
        tick: (N,)
    """
    found = channel.copy()
    for c in np.unique(channel).tolist():
        first, end = states.first[c : c + 2].tolist()
        if (states.manager[first:end] >= 0).any():
            mine = np.flatnonzero(channel == c)
            at = first + np.searchsorted(states.time[first:end], (tick[mine] + 1) << PHASES) - 1
            manager = np.where(at >= first, states.manager[at], -1)
            found[mine] = np.where(manager >= 0, manager, c)
    return found


def pedal_events(events: MidiEvents) -> PedalEvents:
    """The sustain pedals in the events of a file."""
    data = np.frombuffer(events.data, dtype=np.uint8)
    controls: Ints = np.flatnonzero(events.status & 0xF0 == 0xB0)
    controls = controls[np.isin(data[events.stop[controls] - 2], (_SUSTAIN, _ALL_SOUND_OFF, _RESET_ALL))]
    controls = controls[np.argsort(events.tick[controls], kind="stable")]
    number, value = (data[events.stop[controls] - k].astype(np.int64) for k in (2, 1))
    return PedalEvents(
        tick=events.tick[controls].astype(np.int64),
        channel=16 * ports_of(events, controls) + (events.status[controls] & 15),
        value=np.select([number == _SUSTAIN, number == _ALL_SOUND_OFF], [value, SILENCE], 0),
    )


def _latest(at: Ints, value: Ints, time: Ints, group: Ints) -> Ints:
    """(N,) the value of the latest of several sorted moments before each time, 0 where its group has none.

    Args:
        at: (E,) moments: group · 2^32 + tick.
        value: (E,) of each.
        time: (N,) group · 2^32 + tick.
        group: (N,)
    """
    if not len(at):
        return np.zeros_like(time)
    before = np.searchsorted(at, time) - 1
    known = (before >= 0) & (at[before] >> _TICK_BITS == group)
    return np.where(known, value[before], 0)


def _next(at: Ints, time: Ints, group: Ints, otherwise: int) -> Ints:
    """(N,) tick of the first of several sorted moments at or after each time; another tick where its group has none.

    Args:
        at: (E,) moments: group · 2^32 + tick.
        time: (N,) group · 2^32 + tick.
        group: (N,)
        otherwise: that other tick.
    """
    if not len(at):
        return np.full_like(time, otherwise)
    behind = np.minimum(np.searchsorted(at, time), len(at) - 1)
    known = (at[behind] >= time) & (at[behind] >> _TICK_BITS == group)
    return np.where(known, at[behind] & ((1 << _TICK_BITS) - 1), otherwise)
