"""Transcriptions as MIDI files: what was written is what is read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.midi import read_midi
from analysis.midi_write import write_midi
from meloctl.beats.beats import Beats
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.options import TranscribeOptions
from meloctl.transcription.transcription import TranscribedPart, Transcription
from meloctl.transcription.transcription_midi import transcribed_piece

PART = TranscribedPart()


def transcription(notes, parts=(PART,), beats=None, duration_s=4.0):
    return Transcription(notes=notes, parts=tuple(parts), beats=beats, duration_s=duration_s, peak_db=-3.0)


def piece_of(found, **options):
    return transcribed_piece(found, np.full(len(found.notes), 80), TranscribeOptions(**options))


def test_parts_are_named_tracks_of_a_piano(tmp_path):
    notes = NoteTable.of([0, 0.5, 1.0], [0.5, 1.0, 1.1], [67, 60, 36], part=[0, 1, 2])
    write_midi(piece_of(transcription(notes, (PART, PART, PART)), tempo=60, meter="3/4"), tmp_path / "a.mid")
    piece = read_midi(tmp_path / "a.mid")
    assert [part.name for part in piece.parts] == ["Part 1", "Part 2", "Part 3"]
    assert [(part.program, part.is_drum) for part in piece.parts] == [(0, False)] * 3
    assert piece.bars.signature(0) == (3, 4)
    assert piece.notes.onset_tick.tolist() == [0, 240, 480]
    assert piece.notes.duration_tick.tolist() == [240, 240, 48]
    assert piece.tempo.tolist() == [60.0]


def test_a_note_ends_where_the_next_of_its_pitch_begins():
    notes = NoteTable.of([0, 0.5, 0.5, 0.5], [2.0, 0.8, 1.0, 1.0], [60, 60, 60, 60], part=[0, 0, 0, 1])
    piece = piece_of(transcription(notes, (PART, PART)))
    assert piece.notes.onset_tick.tolist() == [0, 480, 480]
    assert piece.notes.duration_tick.tolist() == [480, 480, 480]
    assert piece.notes.part.tolist() == [0, 0, 1]


def test_bars_follow_the_beats():
    beats = Beats(times_s=0.25 + 0.6 * np.arange(8), downbeat=np.arange(8) % 3 == 1, metre=(3, 4))
    notes = NoteTable.of([0.85, 2.65], [1.0, 3.0], [60, 62], part=[0, 0])
    piece = piece_of(transcription(notes, beats=beats))
    assert piece.note_bar.tolist() == [1, 2]
    assert piece.bars.signature(0) == (1, 4)
    np.testing.assert_allclose(piece.seconds_at(piece.notes.onset_tick), [0.85, 2.65], atol=0.002)


def test_short_notes_last_a_tick():
    piece = piece_of(transcription(NoteTable.of([1.0], [1.0001], [60], part=[0])))
    assert piece.notes.duration_tick.tolist() == [1]


@pytest.mark.parametrize("options", [{"parts": 0}, {"parts": 17}, {"tempo": 5.0}, {"meter": "4/5"}])
def test_options_out_of_range_are_refused(options):
    from analysis.errors import MeloError

    with pytest.raises(MeloError, match="give"):
        TranscribeOptions(**options)


@given(seed=st.integers(0, 10_000), count=st.integers(1, 60), parts=st.integers(1, 18))
def test_what_was_written_is_what_is_read(tmp_path_factory, seed, count, parts):
    random = np.random.default_rng(seed)
    onset = random.uniform(0, 5, count)
    notes = NoteTable.of(
        onset,
        onset + random.uniform(0, 2, count),
        random.integers(58, 62, count),
        part=random.integers(0, parts, count),
    )
    piece = piece_of(transcription(notes, [PART] * parts), tempo=97.0)
    path = tmp_path_factory.mktemp("midi") / "a.mid"
    write_midi(piece, path)
    read = read_midi(path)
    named = {part.name for part in read.parts}
    assert named == {piece.parts[i].name for i in np.unique(piece.notes.part)}
    onset_of = [(t, piece.parts[p].name) for t, p in zip(piece.notes.onset_tick, piece.notes.part, strict=True)]
    assert sorted(onset_of) == sorted(
        (t, read.parts[p].name) for t, p in zip(read.notes.onset_tick, read.notes.part, strict=True)
    )
    assert sorted(piece.notes.duration_tick) == sorted(read.notes.duration_tick)
