"""Fills the gap of a piece, several times over: run by run, each run of all of them side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from meloctl.generation.infill import Infill, NewNote
from meloctl.generation.infill_segments import InfillSegment, gap_of, infill_segments
from meloctl.generation.infill_writer import InfillWriter
from meloctl.generation.piece_state import PieceState
from meloctl.generation.sampler import Sampling, generate
from meloctl.model.meloformer.model import MeloFormer
from meloctl.score.key import Key


@dataclass(kw_only=True)
class InfillProgress:
    """One way to fill a gap, as far as it has come."""

    random: np.random.Generator
    new: list[NewNote] = field(default_factory=list)
    """Of complete bars."""

    bars: int = 0
    """Of the gap that are complete, as rows count them."""

    def take(self, run: InfillSegment, writer: InfillWriter) -> None:
        """Note what has been written of a run."""
        self.new += [(run.heard.start + bar, row) for bar, row in writer.written]
        self.bars += writer.bars_closed


def fill_segments(
    model: MeloFormer,
    infill: Infill,
    fillings: Sequence[InfillProgress],
    sampling: Sampling,
    *,
    key: Key | None = None,
    half: bool = False,
    on_bar: Callable[[], None] = lambda: None,
) -> int:
    """Fill a gap to its end; what has been written stands in the fillings, also when an interrupt cuts it short.

    Args:
        model: that was trained to fill gaps.
        fillings: fresh ones.
        key: whose scale new notes keep to.
        half: compute products in bf16.
        on_bar: called as each bar of any filling is complete.

    Returns:
        The most bytes that keys and values have taken.
    """
    most_bytes = 0
    for run in infill_segments(infill, model.config.context, model.vocabulary):
        writers = [
            InfillWriter(
                sheet=PieceState(vocabulary=model.vocabulary, key=key),
                gap=gap_of(infill, run, filling.new, model.vocabulary),
                random=filling.random,
            )
            for filling in fillings
        ]
        try:
            most_bytes = max(most_bytes, generate(model, writers, sampling, half=half, on_bar=on_bar).most_bytes)
        finally:
            for filling, writer in zip(fillings, writers, strict=True):
                filling.take(run, writer)
    return most_bytes
