"""What a synthesizer is to play of a MIDI file: its notes as they were read, and the controllers that shape them.

Programs, drums and the ends of notes are those of the reading (docs/conventions.md), so that one hears what is drawn and
measured. Controllers act on their channel and port from their tick on. Played: modulation (1), volume (7), pan (10), expression
(11), sustain and sostenuto pedal (64, 66), reverb (91), chorus (93), pitch bend and its range, tuning (RPN 1, 2), All
Sound Off, Reset All Controllers, and the resets of GM, GS and XG. Not played, since the synthesizer has nothing for them: the
soft pedal, portamento, aftertouch, other system exclusive messages, banks of variations, and the fine halves of controllers.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.arrays import Bools, Floats, Ints
from analysis.channel_state import is_system_reset
from analysis.midi import MidiSource
from analysis.midi_events import SYSEX, MidiEvents
from analysis.midi_ports import event_ports

NOTE_OFF, NOTE_ON, CONTROLLER, PROGRAM, BEND = 0x80, 0x90, 0xB0, 0xC0, 0xE0
"""Kinds of messages, as MIDI's status bytes; their values follow as in MIDI."""

RPN = 1
"""A registered parameter is set: its number, its value, and the value's second seven bits."""

MODULATION, VOLUME, PAN, EXPRESSION, SUSTAIN, SOSTENUTO, REVERB, CHORUS = 1, 7, 10, 11, 64, 66, 91, 93
ALL_SOUND_OFF, RESET_CONTROLLERS = 120, 121
BEND_RANGE, FINE_TUNING, COARSE_TUNING, MPE_ZONE = 0, 1, 2, 6

_PLAYED = {MODULATION, VOLUME, PAN, EXPRESSION, SUSTAIN, REVERB, CHORUS, ALL_SOUND_OFF}
_RESET = ((CONTROLLER, MODULATION, 0), (CONTROLLER, EXPRESSION, 127), (CONTROLLER, SUSTAIN, 0), (BEND, 0, 64))
"""What Reset All Controllers does (MIDI's Recommended Practice 15)."""

_START = (
    *((CONTROLLER, VOLUME, 100), (CONTROLLER, PAN, 64), (CONTROLLER, REVERB, 40), (CONTROLLER, CHORUS, 0)),
    *((RPN, BEND_RANGE, 2), (RPN, FINE_TUNING, 64), (RPN, COARSE_TUNING, 64), *_RESET),
)
"""How a channel starts, and what a reset of the whole system brings it back to."""

_MPE_BENDS = 48
"""Semitones that the bends of an MPE zone's member channels reach at first."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Performance:
    """M messages in order of time, each to a lane: what one channel of a synthesizer can be, an instrument or a drum kit."""

    seconds: Floats
    """(M,) from the start of the piece."""

    lane: Ints
    """(M,)"""

    message: npt.NDArray[np.uint8]
    """(M, 4) kind and up to three values."""

    is_drum: Bools
    """(lanes,) whether a lane is a drum kit."""

    end_seconds: float
    """Where the piece ends: at End of Track, or where its last note does."""


def performance_of(source: MidiSource) -> Performance:
    """What a synthesizer is to play of a file."""
    piece = source.piece
    player = _Player(source)
    for tick, kind, index in _steps(source):
        if kind == _ON:
            player.note_on(tick, index)
        elif kind == _OFF:
            player.note_off(tick, index)
        else:
            player.event(tick, index)
    ticks = np.asarray(player.ticks, dtype=np.int64)
    end = max(piece.end_tick, int((piece.notes.onset_tick + piece.notes.duration_tick).max()))
    return Performance(
        seconds=piece.seconds_at(ticks),
        lane=np.asarray(player.lanes, dtype=np.int64),
        message=np.frombuffer(player.messages, dtype=np.uint8).reshape(-1, 4),
        is_drum=np.array([drum for _, drum in player.lane_of], dtype=bool),
        end_seconds=float(piece.seconds_at(end)),
    )


_OFF, _ON, _EVENT = range(3)


def _steps(source: MidiSource) -> Iterator[tuple[int, int, int]]:
    """(tick, kind, note or event) of all that shapes the sound, in the order in which it acts.

    A note's end stands where its own note-off does; where it has none, before all else of its tick. A note of no length ends
    right behind its start.
    """
    events, notes = source.events, source.piece.notes
    place = 2 * _order(events) + 1  # of each event, odd
    on, off = place[source.note_on], np.where(source.note_off < 0, 0, place[source.note_off])
    off = np.where(notes.duration_tick == 0, on + 1, off)
    others = np.flatnonzero((events.status >= CONTROLLER) & (events.status <= SYSEX))
    tick = np.concatenate([notes.onset_tick, notes.onset_tick + notes.duration_tick, events.tick[others]])
    kind = np.repeat([_ON, _OFF, _EVENT], [len(notes), len(notes), len(others)])
    index = np.concatenate([np.arange(len(notes)), np.arange(len(notes)), others])
    order = np.lexsort((np.concatenate([on, off, place[others]]), tick))
    return zip(tick[order].tolist(), kind[order].tolist(), index[order].tolist(), strict=True)


def _order(events: MidiEvents) -> Ints:
    """(E,) rank of each event as it acts: by tick; in it, what stands before its track's first note-on, then the rest."""
    n = len(events)
    content = np.frombuffer(events.data, dtype=np.uint8)
    strikes = ((events.status & 0xF0) == NOTE_ON) & (content[events.stop - 1] > 0)
    struck = np.cumsum(strikes)
    first = np.ones(n, dtype=bool)  # of its track and tick
    first[1:] = (np.diff(events.tick) != 0) | (np.diff(events.track) != 0)
    begin = np.maximum.accumulate(np.where(first, np.arange(n), 0))
    behind = struck > (struck - strikes)[begin]
    rank = np.empty(n, dtype=np.int64)
    rank[np.lexsort((np.arange(n), behind, events.tick))] = np.arange(n)
    return rank


class _Channel:
    """What a channel's controllers are set to, as far as it must be known to understand what follows."""

    def __init__(self) -> None:
        self.parameter = (127, 127)  # the registered parameter that data entry sets; none
        self.value = [0, 0]
        self.sostenuto: set[tuple[int, int]] = set()  # lanes and keys that the pedal holds
        self.zone: tuple[int, ...] = ()  # members of the MPE zone that it manages


class _Player:
    """Turns notes and events into messages, lane by lane."""

    def __init__(self, source: MidiSource) -> None:
        self.events, self.parts = source.events, source.piece.parts
        self.columns = [column.tolist() for column in source.piece.notes.columns]
        self.port = event_ports(source.events)
        self.channel = (self.port * 16 + (source.events.status & 15)).tolist()
        self.note_channel = source.note_channel.tolist()
        drums = [part.is_drum for part in self.parts]
        pairs = zip(self.note_channel, (drums[part] for part in self.columns[4]), strict=True)
        self.lane_of = {pair: lane for lane, pair in enumerate(dict.fromkeys(pairs))}
        self.lanes_of: dict[int, list[int]] = {}
        for (of, _), lane in self.lane_of.items():
            self.lanes_of.setdefault(of, []).append(lane)
        self.channels = {c: _Channel() for c in set(self.channel)}
        self.program = [0] * len(self.lane_of)
        self.down: dict[tuple[int, int], tuple[int, int]] = {}  # lane, key: notes that hold it, tick of the last strike
        self.waiting: set[tuple[int, int]] = set()  # keys let go, but held by the sostenuto pedal
        self.ticks, self.lanes, self.messages = array("q"), array("q"), bytearray()

    def send(self, tick: int, lane: int, kind: int, first: int = 0, second: int = 0, third: int = 0) -> None:
        self.ticks.append(tick)
        self.lanes.append(lane)
        self.messages += bytes((kind, first, second, third))

    def note_on(self, tick: int, note: int) -> None:
        """A key that is struck again while it is down is let go first, unless both strikes are at one tick."""
        pitch, velocity, part = (self.columns[i][note] for i in (2, 3, 4))
        lane = self.lane_of[self.note_channel[note], self.parts[part].is_drum]
        key = lane, pitch
        if not self.parts[part].is_drum and self.program[lane] != self.parts[part].program:
            self.program[lane] = self.parts[part].program
            self.send(tick, lane, PROGRAM, self.program[lane])
        count, struck = self.down.get(key, (0, -1))
        if key in self.waiting or (count and struck < tick):
            self.send(tick, lane, NOTE_OFF, pitch)
            self.waiting.discard(key)
        self.send(tick, lane, NOTE_ON, pitch, velocity)
        self.down[key] = count + 1, tick

    def note_off(self, tick: int, note: int) -> None:
        """A key is let go when the last of its notes ends."""
        pitch, part = self.columns[2][note], self.columns[4][note]
        lane = self.lane_of[self.note_channel[note], self.parts[part].is_drum]
        key = lane, pitch
        count, struck = self.down[key]
        if count > 1:
            self.down[key] = count - 1, struck
            return
        del self.down[key]
        if key in self.channels[self.note_channel[note]].sostenuto:
            self.waiting.add(key)
        else:
            self.send(tick, lane, NOTE_OFF, pitch)

    def event(self, tick: int, event: int) -> None:
        status, channel = int(self.events.status[event]), self.channel[event]
        if status == SYSEX:
            if is_system_reset(self.events, event):
                self.reset(tick, int(self.port[event]))
            return
        values = [min(value, 127) for value in self.events.raw(event)[1:]]
        kind = status & 0xF0
        if kind == CONTROLLER:
            self.controller(tick, channel, *values)
        elif kind == BEND:
            self.send_all(tick, channel, BEND, *values)
        elif kind == PROGRAM and (lane := self.lane_of.get((channel, True))) is not None:
            self.send(tick, lane, PROGRAM, values[0])

    def send_all(self, tick: int, channel: int, *message: int) -> None:
        """A message to all lanes of a channel; a controller of an MPE zone's manager goes to its members too."""
        members = self.channels[channel].zone if message[0] == CONTROLLER else ()
        for of in (channel, *members):
            for lane in self.lanes_of.get(of, ()):
                self.send(tick, lane, *message)

    def controller(self, tick: int, channel: int, number: int, value: int) -> None:
        state = self.channels[channel]
        if number in _PLAYED:
            self.send_all(tick, channel, CONTROLLER, number, value)
        elif number == RESET_CONTROLLERS:
            state.parameter = 127, 127
            self.sostenuto(tick, channel, down=False)
            for message in _RESET:
                self.send_all(tick, channel, *message)
        elif number == SOSTENUTO:
            self.sostenuto(tick, channel, down=value >= 64)
        elif number in (100, 101):
            most, least = state.parameter
            state.parameter = (value, least) if number == 101 else (most, value)
            state.value = [0, 0]
        elif number in (98, 99):  # a parameter that is not registered: its data are not ours
            state.parameter = 127, 127
        elif number in (6, 38):
            state.value[number == 38] = value
            self.registered(tick, channel, *state.parameter)

    def registered(self, tick: int, channel: int, most: int, number: int) -> None:
        """A registered parameter gets the value that data entry has left."""
        state = self.channels[channel]
        if most == 0 and number in (BEND_RANGE, FINE_TUNING, COARSE_TUNING):
            self.send_all(tick, channel, RPN, number, *state.value)
        elif (most, number) == (0, MPE_ZONE) and channel % 16 in (0, 15):
            size, step = min(state.value[0], 15), 1 if channel % 16 == 0 else -1
            state.zone = tuple(channel + step * (i + 1) for i in range(size))
            for member in state.zone:
                for lane in self.lanes_of.get(member, ()):
                    self.send(tick, lane, RPN, BEND_RANGE, _MPE_BENDS)

    def sostenuto(self, tick: int, channel: int, *, down: bool) -> None:
        """The pedal holds the keys that are down when it is pressed; when it goes up, those that were let go end."""
        state, lanes = self.channels[channel], self.lanes_of.get(channel, ())
        if down and not state.sostenuto:
            state.sostenuto = {key for key in self.down if key[0] in lanes}
        elif not down:
            for lane, pitch in sorted(self.waiting & state.sostenuto):
                self.send(tick, lane, NOTE_OFF, pitch)
            self.waiting -= state.sostenuto
            state.sostenuto = set()

    def reset(self, tick: int, port: int) -> None:
        """The whole system starts anew: kits, controllers and zones of a port; programs of instruments come with their notes."""
        for (channel, drum), lane in self.lane_of.items():
            if channel // 16 == port:
                for message in (*_START, *([(PROGRAM, 0)] if drum else [])):
                    self.send(tick, lane, *message)
        for channel, state in self.channels.items():
            if channel // 16 == port:
                self.sostenuto(tick, channel, down=False)
                state.parameter, state.zone = (127, 127), ()
