"""What a transcriber finds in validation mixes: scores of notes, and the thresholds that score best."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch

from meloctl.transcription.constant_q import ConstantQ
from meloctl.transcription.network import FRAME_S, Transcriber
from meloctl.transcription.note_decoding import DecodingThresholds, NoteDecoder
from meloctl.transcription.note_scores import note_score
from meloctl.transcription.notes import NoteTable, Singles
from meloctl.transcription.sounds.fixed_mixes import fixed_mixes
from meloctl.transcription.sounds.stem_library import StemLibrary

_PARTS = (1, 2, 3, 4)
_GRID = {
    "onset": (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6),
    "note": (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6),
    "shortest_frames": (2, 3, 4, 5),
    "gap_frames": (1, 3, 5),
    "merged_frames": (1, 2, 3),
}
"""Values that are tried of each threshold."""


@dataclass(frozen=True, eq=False)
class ValidationMix:
    """A mix, ready for the network."""

    magnitudes: torch.Tensor
    """(288, frames of the transform)."""

    notes: NoteTable
    parts: int


@dataclass(frozen=True, eq=False)
class FoundPosteriors:
    """What a network says of a mix, as the decoder takes it: (88, T) each, and (D, 88, T)."""

    note: Singles
    onset: Singles
    timbre: Singles

    def decoded(self, thresholds: DecodingThresholds) -> NoteTable:
        """The notes under some thresholds, without loudness."""
        decoder = NoteDecoder(thresholds, len(self.timbre), FRAME_S)
        decoder.add(self.note, self.onset, self.timbre, np.zeros_like(self.note))
        return decoder.finish()


def validation_mixes(library: StemLibrary, count: int, *, seconds: float = 20.0) -> list[ValidationMix]:
    """`count` fixed mixes of each of 1 to 4 parts, or as many as there are."""
    transform = ConstantQ()
    with torch.no_grad():
        return [
            ValidationMix(transform.magnitudes(torch.from_numpy(mix.samples)[None])[0], mix.notes, mix.parts)
            for parts in _PARTS
            for mix in fixed_mixes(library, parts, count, seconds=seconds)
        ]


@torch.no_grad()
def posteriors_of(network: Transcriber, mixes: Iterable[ValidationMix]) -> list[FoundPosteriors]:
    """What a network in evaluation mode says of mixes."""
    found = []
    for mix in mixes:
        note, onset, timbre = network(mix.magnitudes[None])
        found.append(
            FoundPosteriors(torch.sigmoid(note)[0].numpy(), torch.sigmoid(onset)[0].numpy(), timbre[0].numpy())
        )
    return found


def mean_f(found: Sequence[FoundPosteriors], mixes: Sequence[ValidationMix], thresholds: DecodingThresholds) -> float:
    """Mean F of notes by pitch and onset; 0 where there are no mixes.

    Args:
        found: one a mix.
        mixes: with their notes.
        thresholds: of the decoder.
    """
    scores = [note_score(m.notes, f.decoded(thresholds)).f for f, m in zip(found, mixes, strict=True)]
    return float(np.mean(scores)) if scores else 0.0


def fitted_thresholds(found: Sequence[FoundPosteriors], mixes: Sequence[ValidationMix]) -> DecodingThresholds:
    """The thresholds of the highest mean F: first those of notes and onsets together, coarsely, then one at a time.

    Args:
        found: one a mix.
        mixes: with their notes.
    """
    together = [{"onset": onset, "note": note} for onset in _GRID["onset"][::2] for note in _GRID["note"][::3]]
    single = [{name: value} for name, values in _GRID.items() for value in values]
    best = DecodingThresholds()
    score = mean_f(found, mixes, best)
    for change in [*together, *single, *single]:
        tried = msgspec.structs.replace(best, **change)
        if tried != best and (of_tried := mean_f(found, mixes, tried)) > score:
            best, score = tried, of_tried
    return best
