"""Density, similarity recall and reach of the mask and of each rule's masks, on pieces of the corpus."""

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
    """Share of the measured similarity that is shown (`masks.cost.similarity_recall`)."""

    reach: tuple[tuple[float, float], ...]
    """After each of LAYERS, how many of the offsets 0..32 reach a row from its own part, and from another."""


@dataclass(frozen=True, kw_only=True)
class RuleComparison:
    """Each rule's masks, and the report's mask where there is one, on the same pieces."""

    pieces: int
    mask: MaskCostRow | None
    planned: float | None
    """Score entries of the mask's planned tiles, as a share of those of dense causal attention's plan."""

    rules: tuple[MaskCostRow, ...]


def compare_costs(spec: MaskSpec | None, curves: Curves, pieces: Sequence[PieceRows]) -> RuleComparison:
    """Compare a mask with every rule's, those of equal cost sampled as `meloctl mask compare` samples them.

    Args:
        spec: the report's mask, if any; it also says what becomes of drums.
        curves: similarity by offset, from which rules make masks.
        pieces: rows of the pieces on which pairs are counted.

    Raises:
        MeloError: no offset of 1 or more in one of the curves.
    """
    pairs = mean_pairs(pieces)
    rules = rules_to_compare(curves, pieces, random=np.random.default_rng(0), drums=spec.drums if spec else "masked")
    return RuleComparison(
        pieces=len(pieces),
        mask=_cost("mask", [spec], curves, pairs) if spec else None,
        planned=planned_work(spec, [piece.cells() for piece in pieces]) if spec else None,
        rules=tuple(_cost(name, masks, curves, pairs) for name, masks in rules.items()),
    )


def _cost(name: str, masks: Sequence[MaskSpec], curves: Curves, pairs: RowPairs) -> MaskCostRow:
    reached = [[reach(spec, n) for n in LAYERS] for spec in masks]
    counts = np.mean([[(len(r["same"]), len(r["cross"])) for r in layers] for layers in reached], axis=0)
    return MaskCostRow(
        name=name,
        density=float(np.mean([density(spec, pairs) for spec in masks])),
        similarity_recall=float(np.mean([similarity_recall(spec, curves, pairs) for spec in masks])),
        reach=tuple((float(own), float(other)) for own, other in counts),
    )
