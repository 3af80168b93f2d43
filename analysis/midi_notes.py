"""The notes that a MIDI file's events make, and the part in which each sounds. docs/conventions.md has the rules."""

from dataclasses import dataclass

import numpy as np

from analysis.arrays import Ints
from analysis.channel_state import BY_BANK, BY_SYSEX, DRUM_CHANNEL, PHASES, PLAYING, ChannelStates
from analysis.compiled import compiled
from analysis.errors import MeloError
from analysis.midi_events import Int32s, MidiEvents
from analysis.note_ends import note_ends
from analysis.piece import Notes

MOST_PARTS = 1_024
"""Parts that are told apart while a file is read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FileNotes:
    """The N notes of a file in the order of their note-ons, and its P parts."""

    on: Int32s
    """(N,) index of the event that begins each note."""

    off: Int32s
    """(N,) index of its own note-off; −1 where it has none."""

    channel: Int32s
    """(N,) port · 16 + channel of each note."""

    onset_tick: Int32s
    end_tick: Int32s
    pitch: Int32s
    velocity: Int32s

    part: Int32s
    """(N,) index of its part."""

    part_track: Ints
    part_program: Ints
    """(P,) of drums the kit at their first note."""

    part_drums: Ints
    part_channel: Ints
    """(P,) the lowest channel, port · 16 + channel."""

    part_joined: Ints
    """(P,) 1 for a part on several channels or with several kits."""

    endless: int
    """Notes without an end: they last until their key is struck again, or to the end of their track."""

    all_off: int
    """Notes ended by All Notes Off or All Sound Off."""

    grace: int
    """Notes of length 0 whose note-off stands before their note-on."""

    drums_by_bank: int
    drums_by_sysex: int
    """Notes that a bank select, or a system exclusive message, makes drums, or no drums on channel 10."""


def file_notes(events: MidiEvents, states: ChannelStates) -> FileNotes:
    """The notes of a file. Raises MeloError for parts by the thousand."""
    notes, ends = note_ends(events, states)
    part, parts, counts = (
        np.empty(events.note_ons, np.int32),
        np.empty((5, MOST_PARTS + 1), np.int64),
        np.zeros(3, np.int64),
    )
    timeline = (states.first, states.time, states.program, states.drums, states.reason, states.manager)
    n_parts = _sort_into_parts(events.first_event, int(events.format == 1), notes, *timeline, part, parts, counts)
    if n_parts > MOST_PARTS:
        raise MeloError(f"over {MOST_PARTS:,} parts; no piece has so many")
    parts = parts[:, :n_parts]
    columns = parts[[0, 3, 1, 2]].T.tolist()  # by track, channel, program, drums last
    order = sorted(range(n_parts), key=columns.__getitem__)
    if order != list(range(n_parts)):
        rank = np.empty(n_parts, dtype=np.int32)
        rank[order] = np.arange(n_parts)
        parts, part = parts[:, order], rank[part]
    return FileNotes(
        on=notes[0],
        off=notes[1],
        channel=notes[6],
        onset_tick=notes[7],
        end_tick=notes[2],
        pitch=notes[8],
        velocity=notes[9],
        part=part,
        part_track=parts[0],
        part_program=parts[1],
        part_drums=parts[2],
        part_channel=parts[3],
        part_joined=parts[4],
        endless=ends.endless,
        all_off=ends.all_off,
        grace=ends.grace,
        drums_by_bank=int(counts[BY_BANK]),
        drums_by_sysex=int(counts[BY_SYSEX]),
    )


def sorted_notes(found: FileNotes) -> Notes:
    """The notes of a file sorted as those of a piece; at most 2^19, in at most 64 parts."""
    key, columns = np.empty(len(found.on), np.int64), np.empty((5, len(found.on)), np.int64)
    _fill_sort_keys(found.onset_tick, found.part, found.pitch, key)
    key.sort(kind="stable")  # it uses that each track is in order
    in_order = _fill_in_order(key, found.end_tick, found.velocity, columns)
    onset, duration, pitch, velocity, part = columns
    if not in_order:
        return Notes.of(onset, duration, pitch, velocity, part)
    return Notes(onset_tick=onset, duration_tick=duration, pitch=pitch, velocity=velocity, part=part)


@compiled
def _sort_into_parts(
    first_event: Int32s,
    by_track: int,
    notes: Int32s,
    first: Ints,
    time: Ints,
    program: Ints,
    drums: Ints,
    reason: Ints,
    manager: Ints,
    part: Int32s,
    parts: Ints,
    counts: Ints,
) -> int:
    """Find the part of each note; how many parts there are.

    Args:
        first_event: of the file.
        by_track: 1 where a part may lie on several channels of its track.
        notes: (11, N) as `_pair` fills them.
        first to manager: the channels' states.
        part: (N,) to be filled.
        parts: (5, P or more) to be filled: track, program, drums, lowest channel, whether joined.
        counts: (3,) zeros; notes that are drums, or not, by each reason.
    """
    on, channel, onset = notes[0], notes[6], notes[7]
    n_channels = len(first) - 1
    at = first[:-1].copy()  # the states of each channel that are passed, in the track that is read
    known, stamp = np.zeros(256 * n_channels, np.int32), np.full(256 * n_channels, -1, np.int64)
    n, track = 0, -1
    for i in range(len(on)):
        e = on[i]
        if e >= first_event[track + 1]:
            while e >= first_event[track + 1]:
                track += 1
            for j in range(n_channels):
                at[j] = first[j]
        now = (np.int64(onset[i]) << PHASES) | (np.int64(PLAYING) << (PHASES - 2)) | e
        c = channel[i]
        s = _state(c, now, at, first, time)
        if s >= 0 and manager[s] >= 0:
            c = manager[s]
            s = _state(c, now, at, first, time)
        is_drums = c % 16 == DRUM_CHANNEL if s < 0 else drums[s]
        number = 0 if s < 0 else program[s]
        if is_drums != (c % 16 == DRUM_CHANNEL) and s >= 0:
            counts[reason[s]] += 1
        name = 128 if is_drums else number
        name += 256 * (c - c % 16 if by_track else c)
        if stamp[name] != track:
            if n > MOST_PARTS:
                break
            stamp[name], known[name] = track, n
            parts[0, n], parts[1, n], parts[2, n], parts[3, n], parts[4, n] = track, number, is_drums, channel[i], 0
            n += 1
        p = known[name]
        part[i] = p
        if parts[3, p] != channel[i] or parts[1, p] != number:
            parts[4, p] = 1
            parts[3, p] = min(parts[3, p], channel[i])
    return n


@compiled
def _fill_sort_keys(onset: Int32s, part: Int32s, pitch: Int32s, key: Ints) -> None:
    """Put onset (31 bits), part (6), pitch (7) and index (19) of each note into one number. All (N,)."""
    for i in range(len(onset)):
        key[i] = np.int64(onset[i]) << 32 | np.int64(part[i]) << 26 | np.int64(pitch[i]) << 19 | i


@compiled
def _fill_in_order(key: Ints, end: Int32s, velocity: Int32s, columns: Ints) -> bool:
    """Take the notes apart again in order; False where too many are equal but for the index, so that they are not in order.

    Args:
        key: (N,) as `_fill_sort_keys` makes them, ascending.
        end, velocity: (N,) by index.
        columns: (5, N) to be filled: onset, duration, pitch, velocity, part. Equal keys go by duration and velocity.
    """
    onset, length, tone, force, part = columns
    steps = 16 * len(key)
    for i in range(len(key)):
        note = key[i] & 0x7FFFF
        onset[i], part[i], tone[i] = key[i] >> 32, key[i] >> 26 & 63, key[i] >> 19 & 127
        length[i], force[i] = end[note] - onset[i], velocity[note]
        j = i
        while (
            j > 0
            and steps > 0
            and key[j - 1] >> 19 == key[i] >> 19
            and (length[j - 1] > length[j] or (length[j - 1] == length[j] and force[j - 1] > force[j]))
        ):
            length[j - 1], length[j] = length[j], length[j - 1]
            force[j - 1], force[j] = force[j], force[j - 1]
            j -= 1
            steps -= 1
    return steps > 0


@compiled
def _state(channel: int, now: int, at: Ints, first: Ints, time: Ints) -> int:
    """Index of a channel's state at a time, which comes after those of earlier calls; −1 before its first."""
    while at[channel] < first[channel + 1] and time[at[channel]] < now:
        at[channel] += 1
    return at[channel] - 1 if at[channel] > first[channel] else -1
