"""Pictures of transcriptions: notes and spectrum at their seconds and pitches."""

import numpy as np
from PIL import Image, ImageColor

from meloctl.beats.beats import Beats
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.options import TranscribeOptions
from meloctl.transcription.overview import Overview
from meloctl.transcription.transcription import TranscribedPart, Transcription
from meloctl.transcription.transcription_midi import transcribed_piece
from meloctl.transcription.transcription_picture import COLOURS, draw_transcription


def pixels(tmp_path, duration_s):
    """The picture of a note at pitch 60 from 5 to 10 seconds over a spectrum that sounds at its centre from 0 to 10."""
    magnitude = np.zeros((288, 200), np.float32)
    magnitude[3 * 39 + 1, :100] = 1.0
    found = Transcription(
        notes=NoteTable.of([5.0, 12.0], [10.0, 12.1], [60, 36], part=[0, 1]),
        parts=(TranscribedPart(), TranscribedPart()),
        beats=Beats(times_s=np.arange(0.0, 21.0), downbeat=np.arange(21) % 4 == 0, metre=(4, 4)),
        duration_s=duration_s,
        peak_db=-1.0,
        overview=Overview(magnitude=magnitude, step_s=0.1),
    )
    piece = transcribed_piece(found, np.array([80, 80]), TranscribeOptions())
    draw_transcription(found, piece, tmp_path / "a.png")
    return np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))


def of_colour(picture, part):
    """(rows, columns) of the pixels of a part, its mark in the legend left out."""
    rows, columns = np.nonzero((picture == ImageColor.getrgb(COLOURS[part])).all(axis=2))
    above = rows < len(picture) - 40
    return rows[above], columns[above]


def test_a_note_lies_at_its_seconds_and_on_its_spectrum(tmp_path):
    picture = pixels(tmp_path, 20.0)
    rows, columns = of_colour(picture, 0)
    a_second = (1600 - 44 - 12) / 20
    assert abs(columns.min() - (44 + 5 * a_second)) <= 1
    assert abs(columns.max() - (44 + 10 * a_second)) <= 1
    grey = np.flatnonzero(picture[60:-60, round(44 + 2.5 * a_second), 0] == 145) + 60
    assert abs(grey.mean() - rows.mean()) <= 1


def test_long_recordings_have_rows_of_their_length(tmp_path):
    short, long = pixels(tmp_path, 60.0), pixels(tmp_path, 7200.0)
    assert len(long) == 74 + 12 * ((len(short) - 74) // 3)
