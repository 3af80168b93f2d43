"""The track and the channel of new notes: those of their part, or a free channel where the part is new or where no channel of it
has its program in force.

Shape letters: M new notes, P parts.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.errors import MeloError
from analysis.midi import MidiSource
from analysis.midi_ports import event_ports
from analysis.piece import Part
from meloctl.formatting import count
from meloctl.score.channel_setup import Patch, part_setup, patch_setup
from meloctl.score.midi_channels import (
    CHANNEL,
    DRUM_SOUND,
    ONSET,
    SOUND,
    TRACK,
    channels_at,
    drum_channel,
    free_channels,
    notes_in_file,
    sounds_at,
    sounds_of,
)
from meloctl.score.midi_edit import Edit, NewEvent
from meloctl.score.midi_kinds import PORT, meta_kinds


def check_new_parts(source: MidiSource, parts: Sequence[Part]) -> None:
    """Raises MeloError where there are not enough free channels for new parts."""
    pitched, free = sum(not part.is_drum for part in parts), sum(map(len, free_channels(source.events).values()))
    if pitched > free:
        raise MeloError(
            f"{count(pitched, 'new part')} would need a channel each, and the file has {free or 'none'} free; "
            + ("name fewer parts that it lacks" if free else "name parts that it has")
        )
    if pitched < len(parts) and drum_channel(source) is None:
        raise MeloError("the file has no channel for drums: channel 10 plays something else in it")


def parts_in_force(source: MidiSource, edit: Edit, ticks: Sequence[int]) -> Bools:
    """(P,) True for each part of a file that has, at one of some ticks, a channel on which its program is in force.

    Args:
        edit: in the file's own ticks; what is in force after it counts.
    """
    rows, part, sounds = notes_in_file(source), source.piece.notes.part, sounds_of(source.piece.parts)
    channels = [np.unique(rows[part == p, CHANNEL]).tolist() for p in range(len(sounds))]
    users = Counter(channel for mine in channels for channel in mine)
    shared = [p for p, mine in enumerate(channels) if max(users[channel] for channel in mine) > 1]
    track = {p: int(rows[part == p][0, TRACK]) for p in shared}
    places = [(track[p], channel, tick) for p in shared for channel in channels[p] for tick in ticks]
    found = dict(zip(places, sounds_at(source.events, edit, places), strict=True))
    in_force = np.ones(len(sounds), dtype=np.bool_)
    for p in shared:
        in_force[p] = any(found[track[p], channel, tick] == sounds[p] for channel in channels[p] for tick in ticks)
    return in_force


@dataclass(kw_only=True)
class NoteChannels:
    """Where new notes go, and what sets up the channels that were free."""

    source: MidiSource
    edit: Edit
    """The file without the new notes, in its new ticks."""

    track: Ints
    """(M,)"""

    channel: Ints
    """(M,)"""

    free: dict[int, list[int]]
    """Channels that are free still, by port."""

    setup: list[NewEvent] = field(default_factory=list)

    @staticmethod
    def of(source: MidiSource, edit: Edit, parts: Sequence[Part], part: Ints, onset: Ints) -> "NoteChannels":
        """Where new notes go.

        Args:
            edit: the file without them.
            parts: those of the file, then new ones.
            part: (M,) the part of each new note.
            onset: (M,) ticks of the edited file.

        Raises:
            MeloError: no channel is free for a new part.
        """
        unknown = np.full(len(part), -1)
        found = NoteChannels(
            source=source, edit=edit, track=unknown.copy(), channel=unknown.copy(), free=free_channels(source.events)
        )
        n_own = len(source.piece.parts)
        for index in np.unique(part[part >= n_own]).tolist():
            found._place_new_part(parts[index], np.flatnonzero(part == index), onset)
        found._place_own_parts(part, onset)
        found._follow_ports(onset)
        return found

    def _place_new_part(self, part: Part, notes: Ints, onset: Ints) -> None:
        """A new part goes to a free channel, drums to the one that plays drums, in a new track where tracks sound together."""
        events = self.source.events
        track = 0 if events.format != 1 else max([len(events.tracks) - 1, *(e.track for e in self.setup)]) + 1
        self.track[notes] = track
        if part.is_drum:
            channel = drum_channel(self.source)
            if channel is not None:
                self.channel[notes] = channel
                self.setup += part_setup(events, part, track, channel, self.edit)
                return
        for channel in [] if part.is_drum else self._free_for(track):
            setup = part_setup(events, part, track, channel, self.edit)
            if self._take(channel, setup, track, notes, onset, part.program):
                return
        raise MeloError(f"no channel of the file is free for a new part ({part.name}): give fewer new parts")

    def _free_for(self, track: int) -> list[int]:
        """The channels that are free for notes of a track: where its port changes, those that are free on each of its ports."""
        events = self.source.events
        if track >= len(events.tracks):
            return [channel for channels in self.free.values() for channel in channels]
        first, last = events.first_event[track : track + 2].tolist()
        ports = np.unique(event_ports(events, self.edit.keep)[first:last]).tolist() or [int(events.first_port[track])]
        return [
            channel
            for channel in self.free.get(ports[0], [])
            if all(16 * port + channel % 16 in self.free.get(port, []) for port in ports)
        ]

    def _take(self, channel: int, setup: list[NewEvent], track: int, notes: Ints, onset: Ints, sound: int) -> bool:
        """Put notes on a free channel if they sound as they must there; whether they do."""
        edit = replace(self.edit, new=[*self.edit.new, *setup])
        places = [(track, channel, tick) for tick in np.unique(onset[notes]).tolist()]
        if set(sounds_at(self.source.events, edit, places)) != {sound}:
            return False
        self.free[channel // 16].remove(channel)
        self.channel[notes] = channel
        self.setup += setup
        return True

    def _place_own_parts(self, part: Ints, onset: Ints) -> None:
        """Each note of a part of the file goes to that of its channels on which it sounds as the part; of several, to the one
        that the part plays on nearest to it; where there is none, to a free channel set up for it, or else to the nearest."""
        rows, own_part = notes_in_file(self.source), self.source.piece.notes.part
        sounds = sounds_of(self.source.piece.parts)
        own = {p: rows[own_part == p] for p in np.unique(part[part < len(sounds)]).tolist()}
        places = [
            (int(mine[0, TRACK]), channel, tick)
            for p, mine in own.items()
            for channel in np.unique(mine[:, CHANNEL]).tolist()
            for tick in np.unique(onset[part == p]).tolist()
        ]
        sound_at = dict(zip(places, sounds_at(self.source.events, self.edit, places), strict=True))
        for p, mine in own.items():
            track, notes = int(mine[0, TRACK]), np.flatnonzero(part == p)
            self.track[notes] = track
            homeless = []
            for n in notes.tolist():
                near = _by_distance(mine, int(onset[n]), self.edit.factor)
                fits = [c for c in near if sound_at[track, c, int(onset[n])] == sounds[p]]
                self.channel[n] = (fits or near)[0]
                if not fits:
                    homeless.append(n)
            if homeless and sounds[p] != DRUM_SOUND:
                self._rehouse(mine, np.array(homeless), onset)

    def _follow_ports(self, onset: Ints) -> None:
        """New notes go to the port that is in force in their track, which may change inside it."""
        if (meta_kinds(self.source.events) == PORT).any():
            places = list(zip(self.track.tolist(), self.channel.tolist(), onset.tolist(), strict=True))
            edit = replace(self.edit, new=[*self.edit.new, *self.setup])
            self.channel[:] = channels_at(self.source.events, edit, places)

    def _rehouse(self, mine: Ints, notes: Ints, onset: Ints) -> None:
        """Put notes whose part has no channel with its program in force on a free channel of its port, where there is one."""
        track, own, sound = int(mine[0, TRACK]), int(self.channel[notes[0]]), int(mine[0, SOUND])
        first = int(onset[notes].min()) // self.edit.factor
        patch = Patch.in_force(self.source.events, np.unique(mine[:, CHANNEL]).tolist(), sound, own, first)
        for channel in self._free_for(track):
            setup = patch_setup(self.source.events, patch, track, channel, self.edit)
            if self._take(channel, setup, track, notes, onset, sound):
                return


def _by_distance(mine: Ints, tick: int, factor: int) -> list[int]:
    """The channels of a part, that on which it plays nearest to a tick first.

    Args:
        mine: (N, 7) the part's notes in the file.
        tick: of the edited file.
        factor: its ticks over those of the file.
    """
    order = np.argsort(np.abs(factor * mine[:, ONSET] - tick), kind="stable")
    return list(dict.fromkeys(mine[order, CHANNEL].tolist()))
