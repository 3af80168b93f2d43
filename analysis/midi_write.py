"""MIDI files out: a Piece → a file, the one place that uses a MIDI library (mido)."""

import io
from pathlib import Path
from typing import Any

from analysis.atomic_write import atomic_write
from analysis.piece import Notes, Piece


def write_midi(piece: Piece, path: Path) -> None:
    """Write a piece as a MIDI file, whole or not at all; see `midi_bytes`."""
    data = midi_bytes(piece)
    with atomic_write(path) as partial:
        partial.write_bytes(data)


def midi_bytes(piece: Piece) -> bytes:
    """A piece as a MIDI file of format 1: a track of time signatures and tempos, then one a part. Tracks end at the piece's end.

    A port of MIDI has 15 channels for pitched parts, and channel 10 for drums of one kit: the 16th part, or the second kit,
    begins a second port.
    """
    from mido import Message, MetaMessage, MidiFile, MidiTrack, bpm2tempo

    bars, notes = piece.bars, piece.notes
    signatures = zip(bars.signature_tick.tolist(), bars.numerator.tolist(), bars.denominator.tolist(), strict=True)
    tempos = zip(piece.tempo_tick.tolist(), piece.tempo.tolist(), strict=True)
    head = [
        *((tick, 0, MetaMessage("time_signature", numerator=n, denominator=d)) for tick, n, d in signatures),
        *((tick, 0, MetaMessage("set_tempo", tempo=bpm2tempo(tempo))) for tick, tempo in tempos),
    ]
    out = MidiFile(type=1, ticks_per_beat=piece.ticks_per_quarter, charset="utf-8")
    out.tracks.append(MidiTrack(_timed(head, piece.end_tick)))
    pitched, kits = 0, list(dict.fromkeys(part.program for part in piece.parts if part.is_drum))
    for index, part in enumerate(piece.parts):
        port, channel = (kits.index(part.program), 9) if part.is_drum else divmod(pitched, 15)
        pitched += not part.is_drum
        channel += channel >= 9 and not part.is_drum
        setup = [MetaMessage("track_name", name=part.name)] if part.name else []
        setup += [MetaMessage("midi_port", port=port)] if port else []
        setup.append(Message("program_change", channel=channel, program=part.program))
        mine = notes.take(notes.part == index)
        events = [(0, -1, message) for message in setup] + _note_messages(mine, channel)
        out.tracks.append(MidiTrack(_timed(events, piece.end_tick)))
    buffer = io.BytesIO()
    out.save(file=buffer)
    return buffer.getvalue()


def _note_messages(notes: Notes, channel: int) -> list[tuple[int, int, Any]]:
    """(tick, place in the tick, message): ends of notes first, then notes of no length, then note-ons."""
    from mido import Message

    found = []
    columns = (notes.onset_tick, notes.duration_tick, notes.pitch, notes.velocity)
    for onset, duration, pitch, velocity in zip(*(c.tolist() for c in columns), strict=True):
        on = Message("note_on", channel=channel, note=pitch, velocity=velocity)
        off = Message("note_off", channel=channel, note=pitch)
        found += [(onset, 2 if duration else 1, on), (onset + duration, 0 if duration else 1, off)]
    return found


def _timed(events: list[tuple[int, int, Any]], end_tick: int) -> list[Any]:
    """Messages of (tick, place in the tick, message) in order, each with its delta time, and End of Track at a tick or behind
    them."""
    from mido import MetaMessage

    found, now = [], 0
    ordered = sorted(events, key=lambda event: event[:2])
    end = max([end_tick, *(tick for tick, _, _ in ordered[-1:])])
    for tick, _, message in [*ordered, (end, 0, MetaMessage("end_of_track"))]:
        found.append(message.copy(time=tick - now))
        now = tick
    return found
