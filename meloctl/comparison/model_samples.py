"""Every model writes as many pieces from the same seeds, in turns; the music is held against the corpus."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from analysis.errors import MeloError
from analysis.midi import write_midi
from meloctl.evaluation.evaluation_json import (
    copying_facts,
    curve_facts,
    error_facts,
    metric_facts,
    shared_among,
    shared_with,
)
from meloctl.evaluation.music_metrics import MusicMetrics
from meloctl.generation.constraints import Constraints
from meloctl.generation.options import Sampling
from meloctl.generation.piece_writer import PieceWriter
from meloctl.generation.sampler import generate
from meloctl.model.registry import Model
from meloctl.rows.codec import decode
from meloctl.rows.vocabulary import ABSENT, PITCH
from meloctl.score.playable import playable

SIDE_BY_SIDE = 4
"""Pieces that a model writes in one turn."""


@dataclass(kw_only=True)
class ModelSamples:
    """A model that writes, and how that went."""

    model: Model
    folder: Path
    """Where its pieces go."""

    why_not: str | None = None
    """Why it cannot write, being damaged; None where it can."""

    rates: list[float] = field(default_factory=list)
    """Notes a second of each full turn."""

    cache_bytes: list[int] = field(default_factory=list)
    """The most memory that keys and values took in each full turn."""

    cache_bytes_per_row: list[float] = field(default_factory=list)
    """That, divided by the rows that were written: pieces differ in length."""

    files: list[Path] = field(default_factory=list)


def write_music(
    pens: Sequence[ModelSamples],
    seeds: Sequence[int],
    bars: int,
    *,
    half: bool,
    on_bar: Callable[[], None] = lambda: None,
) -> None:
    """Let every pen write a piece for each seed. Turns are timed, after a bar that warms up and is thrown away.

    Args:
        seeds: of the pieces; the same for all.
        bars: of each piece.
        half: compute products in bf16.
        on_bar: called for every bar of every piece.
    """
    for pen in pens:
        try:
            _turn(pen, seeds[:1], 1, half=half)
        except MeloError as error:
            pen.why_not = str(error)
    able = [pen for pen in pens if pen.why_not is None]
    for first in range(0, len(seeds), SIDE_BY_SIDE):
        turn = seeds[first : first + SIDE_BY_SIDE]
        for pen in able:
            began = time.perf_counter()
            writers, cache_bytes = _turn(pen, turn, bars, half=half, on_bar=on_bar)
            seconds = time.perf_counter() - began
            if len(turn) == min(SIDE_BY_SIDE, len(seeds)):  # fewer side by side are slower
                pen.rates.append(sum(_notes(writer) for writer in writers) / seconds)
                pen.cache_bytes.append(cache_bytes)
                pen.cache_bytes_per_row.append(cache_bytes / sum(len(writer.rows) for writer in writers))
            for seed, writer in zip(turn, writers, strict=True):
                path = pen.folder / f"piece-{seed}.mid"
                write_midi(playable(decode(np.stack(writer.rows), writer.vocabulary), bars), path)
                pen.files.append(path)


def _turn(
    pen: ModelSamples, seeds: Sequence[int], bars: int, *, half: bool, on_bar: Callable[[], None] = lambda: None
) -> tuple[list[PieceWriter], int]:
    """The writers of some pieces as they end, and the most bytes that keys and values took."""
    vocabulary, constraints = pen.model.vocabulary, Constraints(bars=bars)
    writers = [
        PieceWriter(vocabulary=vocabulary, constraints=constraints, random=np.random.default_rng(seed))
        for seed in seeds
    ]
    decoder = generate(pen.model, writers, Sampling(), half=half, on_bar=on_bar)
    return writers, decoder.most_bytes


def _notes(writer: PieceWriter) -> int:
    return sum(int(row[PITCH]) != ABSENT for row in writer.rows)


def music_facts(mine: MusicMetrics, reference: MusicMetrics, *, seed: int) -> dict[str, Any]:
    """One run's music against the corpus: metrics, curves, Similarity Error, copies, as in `meloctl.evaluation/1`."""
    random = np.random.default_rng(seed)
    return {
        "pieces": len(mine),
        "bars": int(mine.bars.sum()),
        "notes": int(mine.notes.sum()),
        "metrics": metric_facts(mine, reference, random),
        "curves": curve_facts(mine, reference),
        "similarity_error": error_facts(mine, reference, random),
        "copying": copying_facts(shared_with(mine, reference)),
    }


def among_facts(reference: MusicMetrics, *, seed: int) -> dict[str, Any] | None:
    """What the corpus's pieces share among themselves; None where there is one alone."""
    if len(reference) < 2:
        return None
    return copying_facts(shared_among(reference, np.random.default_rng(seed)))
