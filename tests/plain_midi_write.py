"""A piece as a MIDI file by mido: what the bytes that we write ourselves must be."""

import io

from mido import Message, MetaMessage, MidiFile, MidiTrack, bpm2tempo


def plain_midi_bytes(piece):
    bars = piece.bars
    head = [
        *(
            (tick, 0, MetaMessage("time_signature", numerator=n, denominator=d))
            for tick, n, d in zip(
                *(c.tolist() for c in (bars.signature_tick, bars.numerator, bars.denominator)), strict=True
            )
        ),
        *(
            (tick, 0, MetaMessage("set_tempo", tempo=bpm2tempo(tempo)))
            for tick, tempo in zip(piece.tempo_tick.tolist(), piece.tempo.tolist(), strict=True)
        ),
    ]
    out = MidiFile(type=1, ticks_per_beat=piece.ticks_per_quarter, charset="utf-8")
    out.tracks.append(timed(head, piece.end_tick))
    pitched, kits = 0, list(dict.fromkeys(part.program for part in piece.parts if part.is_drum))
    for index, part in enumerate(piece.parts):
        port, channel = (kits.index(part.program), 9) if part.is_drum else divmod(pitched, 15)
        pitched += not part.is_drum
        channel += channel >= 9 and not part.is_drum
        events = [(0, -1, MetaMessage("track_name", name=part.name))] if part.name else []
        events += [(0, -1, MetaMessage("midi_port", port=port))] if port else []
        events.append((0, -1, Message("program_change", channel=channel, program=part.program)))
        notes = piece.notes.take(piece.notes.part == index)
        columns = (notes.onset_tick, notes.duration_tick, notes.pitch, notes.velocity)
        for onset, duration, pitch, velocity in zip(*(c.tolist() for c in columns), strict=True):
            on = Message("note_on", channel=channel, note=pitch, velocity=velocity)
            off = Message("note_off", channel=channel, note=pitch)
            events += [(onset, 2 if duration else 1, on), (onset + duration, 0 if duration else 1, off)]
        out.tracks.append(timed(events, piece.end_tick))
    buffer = io.BytesIO()
    out.save(file=buffer)
    return buffer.getvalue()


def timed(events, end_tick):
    """Messages in order, each with its delta time, and End of Track."""
    found, now = MidiTrack(), 0
    ordered = sorted(events, key=lambda event: event[:2])
    end = max([end_tick, *(tick for tick, _, _ in ordered[-1:])])
    for tick, _, message in [*ordered, (end, 0, MetaMessage("end_of_track"))]:
        found.append(message.copy(time=tick - now))
        now = tick
    return found
