"""The transcription of a recording: notes with their parts, what is known of each part, beats, level and tuning."""

from dataclasses import dataclass, field

import numpy as np

from analysis.arrays import Bools
from meloctl.beats.beats import Beats
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.overview import Overview


@dataclass(frozen=True, kw_only=True)
class TranscribedPart:
    """What is known of a part but its notes; no program is guessed (docs/decisions.md)."""

    confidence: float = 1.0
    """How clearly its notes stand apart from those of other parts, 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Transcription:
    """A recording as notes. Times are seconds from its first sample."""

    notes: NoteTable
    """`part` is an index into `parts` for every note."""

    parts: tuple[TranscribedPart, ...]
    beats: Beats | None
    """None where no steady beat was found."""

    duration_s: float
    """Seconds of sound."""

    peak_db: float
    """Level of the loudest sample in decibels relative to full scale; −inf for digital silence."""

    tuning_cents: float = 0.0
    """How far its A lies above 440 Hz, in cents."""

    overview: Overview | None = None
    """Its spectrum, for the picture; None where it was not kept."""

    messages: tuple[str, ...] = field(default=())
    """What a user must know of it, a sentence each."""

    def part_notes(self, part: int) -> Bools:
        """(N,) which notes are those of a part."""
        return np.asarray(self.notes.part == part)

    def part_name(self, part: int) -> str:
        """ "Part 1" of 0."""
        return f"Part {part + 1}"
