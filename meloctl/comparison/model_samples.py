"""Pieces that every model generates from the same seeds, batch by batch in turns, with their speed and memory."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.errors import MeloError
from analysis.midi_write import write_midi
from meloctl.generation.constraints import Constraints
from meloctl.generation.new_bars import bars_behind
from meloctl.generation.options import Sampling
from meloctl.generation.row_writers import RowWriters
from meloctl.generation.sampler import generate
from meloctl.model.registry import Model
from meloctl.rows.codec import Rows, decode
from meloctl.rows.vocabulary import ABSENT, PITCH
from meloctl.score.playable import playable

BATCH_SIZE = 4
"""Pieces that a model generates together."""


@dataclass(kw_only=True)
class ModelSamples:
    """The pieces of one model, and what generating them took."""

    model: Model
    folder: Path
    """Where its pieces are written."""

    error: str | None = None
    """Why a damaged model cannot generate; None where it can."""

    notes_per_second: list[float] = field(default_factory=list)
    """Of each full batch."""

    cache_bytes: list[int] = field(default_factory=list)
    """The most memory of cached keys and values, of each full batch."""

    cache_bytes_per_row: list[float] = field(default_factory=list)
    """The same, divided by the rows of the batch: pieces differ in length."""

    files: list[Path] = field(default_factory=list)


def generate_samples(
    samples: Sequence[ModelSamples],
    seeds: Sequence[int],
    bars: int,
    *,
    half: bool,
    on_bar: Callable[[], None] = lambda: None,
) -> None:
    """Generate a piece for each seed with every model. Batches are timed, after one bar that is thrown away.

    Args:
        samples: are filled.
        seeds: of the pieces; the same for all models.
        bars: of each piece.
        half: matrix products in bf16.
        on_bar: called after each bar of each piece.
    """
    for one in samples:
        try:
            _generate_batch(one.model, seeds[:1], 1, half=half)
        except MeloError as error:
            one.error = str(error)
    able = [one for one in samples if one.error is None]
    for first in range(0, len(seeds), BATCH_SIZE):
        batch = seeds[first : first + BATCH_SIZE]
        for one in able:
            began = time.perf_counter()
            written, cache_bytes = _generate_batch(one.model, batch, bars, half=half, on_bar=on_bar)
            seconds = time.perf_counter() - began
            if len(batch) == min(BATCH_SIZE, len(seeds)):  # smaller batches are slower
                one.notes_per_second.append(sum(map(_notes, written)) / seconds)
                one.cache_bytes.append(cache_bytes)
                one.cache_bytes_per_row.append(cache_bytes / sum(map(len, written)))
            for seed, rows in zip(batch, written, strict=True):
                path = one.folder / f"piece-{seed}.mid"
                write_midi(playable(decode(rows, one.model.vocabulary)), path)
                one.files.append(path)


def _generate_batch(
    model: Model, seeds: Sequence[int], bars: int, *, half: bool, on_bar: Callable[[], None] = lambda: None
) -> tuple[list[Rows], int]:
    """The rows of a batch of pieces, and the most bytes of cached keys and values."""
    piece = bars_behind(None, Constraints(bars=bars), model.vocabulary, header_changes=model.header_changes)
    writers = RowWriters([piece] * len(seeds), [np.random.default_rng(seed) for seed in seeds])
    decoder = generate(model, writers, Sampling(), half=half, on_bar=on_bar)
    return [writers.rows(i) for i in range(len(writers))], decoder.most_bytes


def _notes(rows: Rows) -> int:
    return int((rows[:, PITCH] != ABSENT).sum())
