"""Fills the gap of a piece, several times over: run by run, each run of all of them side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from meloctl.generation.infill import Infill, NewNote
from meloctl.generation.key import Key
from meloctl.generation.rewriter import Rewriter
from meloctl.generation.runs import Run, gap_of, runs_of
from meloctl.generation.sampler import Sampling, generate
from meloctl.generation.sheet import Sheet
from meloctl.model.meloformer import MeloFormer


@dataclass(kw_only=True)
class Filling:
    """One way to fill a gap, as far as it has come."""

    random: np.random.Generator
    new: list[NewNote] = field(default_factory=list)
    """Of complete bars."""

    bars: int = 0
    """Of the gap that are complete, as rows count them."""

    def take(self, run: Run, writer: Rewriter) -> None:
        """Note what has been written of a run."""
        self.new += [(run.heard.start + bar, row) for bar, row in writer.written]
        self.bars += writer.bars_closed


def fill(
    model: MeloFormer,
    infill: Infill,
    fillings: Sequence[Filling],
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
    for run in runs_of(infill, model.config.context, model.vocabulary):
        writers = [
            Rewriter(
                sheet=Sheet(vocabulary=model.vocabulary, key=key),
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
