"""What sets up a free channel of a MIDI file for the notes of a part: its program, bank, volume, pan and the like.

Shape letters: E events.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.midi_events import MidiEvents
from analysis.piece import Part
from meloctl.score.midi_channels import event_channels
from meloctl.score.midi_edit import BEHIND, Edit, NewEvent, control_change, meta_event, program_change
from meloctl.score.midi_kinds import NAME, PORT, meta_kinds

_BANK = (0, 32)
"""Controllers of a bank's high and low byte, on which the next program change acts."""

_MIX = (7, 10, 11, 91, 93)
"""Controllers of volume, pan, expression, reverb and chorus."""


@dataclass(frozen=True, kw_only=True)
class Patch:
    """How a part sounds on its channel."""

    program: int
    bank: dict[int, int] = field(default_factory=dict)
    """Values of the controllers that choose a bank."""

    mix: dict[int, int] = field(default_factory=dict)
    """Values of the controllers of volume, pan and the like."""

    def messages(self, channel: int) -> list[bytes]:
        """The events that set a channel up so."""
        bank, mix = (
            [control_change(channel % 16, *item) for item in values.items()] for values in (self.bank, self.mix)
        )
        return [*bank, program_change(channel % 16, self.program), *mix]

    @staticmethod
    def in_force(events: MidiEvents, channels: Sequence[int], program: int, channel: int, tick: int) -> "Patch":
        """The patch of a part that plays on some channels: the bank of its last program change before a tick (else of its first),
        and the mix of one channel at that tick."""
        by_channel = event_channels(events)
        changes = _acting(events, np.isin(by_channel, channels) & (events.status & 0xF0 == 0xC0))
        changes = np.array([i for i in changes.tolist() if events.raw(i)[1] == program], dtype=np.int64)
        bank: dict[int, int] = {}
        if len(changes):
            before = int(np.searchsorted(events.tick[changes], tick, side="right"))
            change = int(changes[max(0, before - 1)])
            bank = _controllers(events, by_channel == by_channel[change], _BANK, behind=change)
        on_channel = (by_channel == channel) & (events.tick <= tick)
        return Patch(program=program, bank=bank, mix=_controllers(events, on_channel, _MIX))


def part_setup(events: MidiEvents, part: Part, track: int, channel: int, edit: Edit) -> list[NewEvent]:
    """Name, port and program of a part that comes into a file.

    A track that is not its own gets no name of it, and a channel that is in use keeps its program.

    Args:
        edit: what becomes of the file.
    """
    in_use = bool((event_channels(events) == channel).any())
    setup = [] if in_use else patch_setup(events, Patch(program=part.program), track, channel, edit)
    if track < len(events.tracks):
        return setup
    head = [meta_event(NAME, part.name.encode())]
    if channel >= 16:
        head.append(meta_event(PORT, bytes([channel // 16])))
    return [*(NewEvent(track=track, tick=0, place=BEHIND, data=data) for data in head), *setup]


def patch_setup(events: MidiEvents, patch: Patch, track: int, channel: int, edit: Edit) -> list[NewEvent]:
    """What sets up a free channel in a track, at its start, and again behind each reset of all programs and each change of the
    track's port that stay."""
    ports = edit.keep & (events.track == track) & (meta_kinds(events) == PORT)
    again = {*reset_ticks(events, edit.keep), *events.tick[ports].tolist()}
    ticks = sorted({0, *(edit.factor * tick for tick in again)})
    return [
        NewEvent(track=track, tick=tick, place=BEHIND, data=data) for tick in ticks for data in patch.messages(channel)
    ]


def reset_ticks(events: MidiEvents, keep: Bools) -> list[int]:
    """Where GM, GS or XG messages that stay (E,) reset the programs of all channels."""
    found = []
    for i in np.flatnonzero(keep & (events.status == 0xF0)).tolist():
        raw = events.raw(i)
        at = next((k for k in range(1, len(raw)) if raw[k] < 0x80), len(raw))
        body = raw[at + 1 :]
        general_midi = body[:1] == b"\x7e" and body[2:4] in (b"\x09\x01", b"\x09\x03")
        roland = body[:1] == b"\x41" and body[2:7] == b"\x42\x12\x40\x00\x7f"
        yamaha = body[:1] == b"\x43" and body[2:6] == b"\x4c\x00\x00\x7e"
        if general_midi or roland or yamaha:
            found.append(int(events.tick[i]))
    return found


def _acting(events: MidiEvents, chosen: Bools) -> Ints:
    """Indices of chosen events (E,), in the order in which they act."""
    index = np.flatnonzero(chosen)
    return index[np.argsort(events.tick[index], kind="stable")]


def _controllers(
    events: MidiEvents, chosen: Bools, controllers: Sequence[int], behind: int | None = None
) -> dict[int, int]:
    """The last value of some controllers.

    Args:
        chosen: (E,) the events that are looked at.
        behind: the event at which the looking ends; None for all.
    """
    values: dict[int, int] = {}
    for i in _acting(events, chosen & np.isin(events.status & 0xF0, (0xB0, 0xC0))).tolist():
        if i == behind:
            break
        raw = events.raw(i)
        if raw[0] & 0xF0 == 0xB0 and raw[1] in controllers:
            values[raw[1]] = raw[2]
    return values
