"""From notes to parts: as many as are asked for or found, each with the confidence that its notes belong to it."""

from dataclasses import replace

import numpy as np

from analysis.arrays import Floats
from meloctl.transcription.clustering import divided, margins
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.number_of_parts import number_of_parts
from meloctl.transcription.part_weights import PartWeights


def part_notes(notes: NoteTable, parts: int | None, weights: PartWeights) -> NoteTable:
    """The notes with their parts, the highest first.

    Args:
        notes: with embeddings (N, D).
        parts: how many; None: as many as are found.
        weights: of the cost of a division, and of a number of parts.
    """
    wanted = number_of_parts(notes, weights) if parts is None else parts
    return replace(notes, part=divided(notes, wanted, weights.cost))


def part_confidences(notes: NoteTable, weights: PartWeights) -> list[float]:
    """For each part the mean probability that a note of it is right and belongs to it, 0 to 1.

    Args:
        notes: with parts and embeddings.
        weights: with the calibration.
    """
    right, count = note_probabilities(notes, weights), np.bincount(notes.part)
    return [float(value) for value in np.bincount(notes.part, right) / np.maximum(count, 1)]


def note_probabilities(notes: NoteTable, weights: PartWeights) -> Floats:
    """(N,) the probability that each note is right and in the right part.

    Args:
        notes: with parts and embeddings.
        weights: with the calibration.
    """
    fitted = weights.calibration
    margin = np.clip(margins(notes, notes.part, weights.cost), 0.0, fitted.margin_limit)
    odds = fitted.constant + fitted.margin * margin + fitted.posterior * notes.confidence
    return np.asarray(1 / (1 + np.exp(-odds)))
