"""A transcription as a piece of MIDI: its notes at ticks of its beats, a track for each part."""

import numpy as np

from analysis.arrays import Ints
from analysis.piece import Notes, Part, Piece
from meloctl.beats.beat_ticks import beat_ticks
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.options import TranscribeOptions
from meloctl.transcription.transcription import Transcription


def transcribed_piece(transcription: Transcription, velocity: Ints, options: TranscribeOptions) -> Piece:
    """The piece of a transcription; its second 0 is that of the recording, and no time is rounded to the beat.

    A part holds one note of a pitch at a time, as a MIDI channel does: a note ends where the next of its pitch begins, and of
    two that begin in one tick the longer one stays.

    Args:
        transcription: with at least one note.
        velocity: (N,) MIDI velocity of its notes, 1 to 127.
        options: say tempo and bars where no beat was found.
    """
    notes, end_s = transcription.notes, max(transcription.duration_s, float(transcription.notes.offset.max()))
    ticks = beat_ticks(transcription.beats, end_s, tempo=options.tempo, signature=options.signature)
    onset = ticks.ticks_at(notes.onset)
    offset = np.maximum(ticks.ticks_at(notes.offset), onset + 1)
    kept, offset = _one_at_a_time(notes, onset, offset)
    return Piece(
        parts=tuple(
            Part(program=0, is_drum=False, name=transcription.part_name(i)) for i in range(len(transcription.parts))
        ),
        notes=Notes.of(
            onset[kept], (offset - onset)[kept], notes.pitch[kept], np.clip(velocity[kept], 1, 127), notes.part[kept]
        ),
        bars=ticks.bars,
        tempo_tick=ticks.tempo_tick,
        tempo=ticks.tempo,
        end_tick=int(ticks.ticks_at(end_s)),
    )


def _one_at_a_time(notes: NoteTable, onset: Ints, offset: Ints) -> tuple[Ints, Ints]:
    """(K,) indices of the notes that stay, and (N,) ends that no later note of the same part and pitch overlaps.

    Args:
        notes: the N notes, for part and pitch.
        onset: (N,) ticks.
        offset: (N,) ticks, later than the onset.
    """
    order = np.lexsort((-offset, onset, notes.pitch, notes.part))
    line = notes.part[order] * 128 + notes.pitch[order]
    again = np.flatnonzero((line[1:] == line[:-1]) & (onset[order][1:] == onset[order][:-1])) + 1
    order, line = np.delete(order, again), np.delete(line, again)
    same = line[1:] == line[:-1]
    out = offset.copy()
    out[order[:-1][same]] = np.minimum(offset[order[:-1][same]], onset[order[1:][same]])
    return np.sort(order), out
