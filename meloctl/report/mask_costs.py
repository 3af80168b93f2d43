"""What masks cost on pieces of the corpus and how much of what is alike they show: the columns that need no planning."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.offset_table_file import Curves
from masks.cost.compare_masks import LAYERS, planned_work, rules_to_compare
from masks.cost.row_pairs import PieceRows, RowPairs, mean_pairs
from masks.cost.similarity_recall import similarity_recall
from masks.describe import density, reach
from masks.spec import MaskSpec

PIECES = 20
"""Pieces on which masks are costed: as many as `meloctl mask compare` takes."""


@dataclass(frozen=True, kw_only=True)
class MaskCostRow:
    """One mask, or the mean of several of one rule."""

    name: str
    density: float
    """Share of dense causal attention's pairs of rows that is shown."""

    similarity_recall: float
    """Share of the measured likeness that is shown (`masks.cost.similarity_recall`)."""

    reach: tuple[tuple[float, float], ...]
    """After each of LAYERS, how many of the offsets 0..32 are heard in one's own part, and in another."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The rules' masks on some pieces of the corpus, and the mask of the report where there is one."""

    pieces: int
    mask: MaskCostRow | None
    planned: float | None
    """Score entries of the mask's planned tiles, as a share of those of dense causal attention's plan."""

    rules: tuple[MaskCostRow, ...]


def compare_costs(spec: MaskSpec | None, curves: Curves, pieces: Sequence[PieceRows]) -> Comparison:
    """Cost a mask and every rule's; rules of equal cost are drawn as `meloctl mask compare` draws them."""
    pairs = mean_pairs(pieces)
    rules = rules_to_compare(curves, pieces, random=np.random.default_rng(0), drums=spec.drums if spec else "masked")
    return Comparison(
        pieces=len(pieces),
        mask=_cost("mask", [spec], curves, pairs) if spec else None,
        planned=planned_work(spec, [piece.cells() for piece in pieces]) if spec else None,
        rules=tuple(_cost(name, masks, curves, pairs) for name, masks in rules.items()),
    )


def _cost(name: str, masks: Sequence[MaskSpec], curves: Curves, pairs: RowPairs) -> MaskCostRow:
    heard = [[reach(spec, n) for n in LAYERS] for spec in masks]
    counts = np.mean([[(len(h["same"]), len(h["cross"])) for h in mine] for mine in heard], axis=0)
    return MaskCostRow(
        name=name,
        density=float(np.mean([density(spec, pairs) for spec in masks])),
        similarity_recall=float(np.mean([similarity_recall(spec, curves, pairs) for spec in masks])),
        reach=tuple((float(own), float(other)) for own, other in counts),
    )
