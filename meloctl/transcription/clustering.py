"""Notes → parts: notes of like timbre and register belong together."""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from meloctl.transcription.notes import Floats, NoteTable


class PartWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How timbre and pitch count when notes are divided among parts; fitted on validation mixes."""

    octave: Annotated[float, Meta(ge=0.0, le=100.0)] = 0.8
    """Distance of two notes an octave apart; notes of opposite timbres are 2 apart."""


def part_notes(notes: NoteTable, parts: int | None, weights: PartWeights) -> NoteTable:
    """Notes with the part of each, parts numbered from the highest to the lowest.

    Args:
        notes: with embeddings (N, D).
        parts: how many parts there are; None: as many as are found.
        weights: of timbre and pitch.
    """
    from sklearn.cluster import KMeans

    wanted = min(parts or 1, max(len(notes), 1))
    places = _places(notes, weights)
    labels = (
        np.zeros(len(notes), np.int64)
        if wanted == 1
        else KMeans(wanted, n_init=10, random_state=0).fit_predict(places).astype(np.int64)
    )
    order = (
        np.argsort([-np.median(notes.pitch[labels == label]) for label in range(wanted)])
        if len(notes)
        else np.zeros(1, int)
    )
    return NoteTable(**{**notes.columns(), "part": np.argsort(order)[labels]})


def part_confidences(notes: NoteTable, weights: PartWeights) -> list[float]:
    """How clearly each part's notes stand apart from those of other parts: from 0 to 1, the mean of 1 − distance to its own
    centre / distance to the nearest other centre; 1 for a part alone."""
    count = int(notes.part.max(initial=-1)) + 1
    if count < 2:
        return [1.0] * count
    places = _places(notes, weights)
    centres = np.stack([places[notes.part == part].mean(axis=0) for part in range(count)])
    distance = np.linalg.norm(places[:, None] - centres, axis=2)
    own = distance[np.arange(len(notes)), notes.part]
    distance[np.arange(len(notes)), notes.part] = np.inf
    margin = np.clip(1 - own / np.maximum(distance.min(axis=1), 1e-9), 0, 1)
    return [float(margin[notes.part == part].mean()) for part in range(count)]


def _places(notes: NoteTable, weights: PartWeights) -> Floats:
    """(N, D + 1) timbre and pitch."""
    return np.concatenate([notes.embedding, weights.octave * notes.pitch[:, None] / 12], 1).astype(np.float64)
