"""Writes the masked bars of a piece several times over: segment by segment, all versions of a segment side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from meloctl.generation.infill import Infill
from meloctl.generation.infill_segments import InfillSegment, infill_segments, segment_bars
from meloctl.generation.options import Sampling
from meloctl.generation.row_writers import RowWriters
from meloctl.generation.sampler import generate
from meloctl.model.bar_plans import BarPlans
from meloctl.model.meloformer.model import MeloFormer
from meloctl.score.editing import NewNote
from meloctl.score.key import Key


@dataclass(kw_only=True)
class InfillProgress:
    """One version of an infill, as far as it has come."""

    random: np.random.Generator
    notes: list[NewNote] = field(default_factory=list)
    """New notes of the masked bars that are done."""

    bars_done: int = 0
    """Masked bars that are done, as rows count them."""

    def add(self, segment: InfillSegment, new: Sequence[NewNote], bars: int) -> None:
        """Add what has been written of a segment: notes by its masked bars, and how many of these are done."""
        self.notes += [(segment.bars.start + bar, row) for bar, row in new]
        self.bars_done += bars


def fill_segments(
    model: MeloFormer,
    infill: Infill,
    versions: Sequence[InfillProgress],
    sampling: Sampling,
    *,
    key: Key | None = None,
    half: bool = False,
    plans: Sequence[BarPlans | None] | None = None,
    on_bar: Callable[[], None] = lambda: None,
) -> int:
    """Write all masked bars of each version; the versions hold the notes, also when an interrupt cuts it short.

    Args:
        model: trained with infill.
        versions: fresh ones.
        key: of the new notes.
        half: compute products in bf16.
        plans: of all bars of the piece, as rows count them, for each version that has some; None where none has.
        on_bar: called as each masked bar of any version is complete.

    Returns:
        The most bytes that cached keys and values have taken.
    """
    most_bytes = 0
    for segment in infill_segments(infill, model.config.context, model.vocabulary):
        pieces = [segment_bars(infill, segment, version.notes, model.vocabulary, key=key) for version in versions]
        writers = RowWriters(pieces, [version.random for version in versions])
        window = None if plans is None else [plan and plan.of_bars(segment.context) for plan in plans]
        try:
            decoder = generate(model, writers, sampling, half=half, plans=window, on_bar=on_bar)
            most_bytes = max(most_bytes, decoder.most_bytes)
        finally:
            for i, version in enumerate(versions):
                version.add(segment, writers.new_notes(i), writers.bars_closed(i))
    return most_bytes
