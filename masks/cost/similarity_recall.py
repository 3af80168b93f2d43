"""Similarity recall: the share of the measured similarity that a mask shows.

Any two bars of a piece share some notes, for they are in one key. So similarity is counted above a baseline, that of the least
similar offset of both relations. The excess of an offset is its similarity above the baseline, times the pairs of pitched rows
that lie at it; headers and drums, about which a measure of pitch says nothing, are left out.

    recall = sum of the excess of the offsets that the mask shows / sum of the excess of all offsets
"""

from dataclasses import dataclass

from analysis.errors import MeloError
from analysis.offset_table_file import Curves
from masks.cost.row_pairs import RowPairs
from masks.rules.seed import well_measured
from masks.spec import MASK_RELATIONS, MaskSpec


@dataclass(frozen=True, kw_only=True)
class RelationOffset:
    """A relation ("same" or "cross") at an offset ≥ 1 that a mask may show or hide."""

    relation: str
    offset: int
    """Bars back."""

    similarity: float
    """Mean over pairs of bars, 0..1."""

    excess: float
    """Similarity above the baseline, times pairs of pitched rows."""


def least_similar(curves: Curves) -> RelationOffset:
    """The baseline: the least similar of the well measured offsets ≥ 1, of both relations; the nearer of two equal ones.

    Raises:
        MeloError: no offset ≥ 1 in one of the curves.
    """
    measured = _measured(curves)
    relation, offset = min(measured, key=lambda at: (measured[at], at[1], at[0]))
    return RelationOffset(relation=relation, offset=offset, similarity=measured[relation, offset], excess=0.0)


def measured_offsets(curves: Curves, pairs: RowPairs) -> list[RelationOffset]:
    """Every well measured offset ≥ 1 of both relations at which there are pairs of rows, with its excess.

    Args:
        curves: similarity by offset.
        pairs: of the pieces that a mask is for.

    Raises:
        MeloError: no offset ≥ 1 in one of the curves.
    """
    baseline = least_similar(curves).similarity
    return [
        RelationOffset(
            relation=relation,
            offset=offset,
            similarity=mean,
            excess=(mean - baseline) * float(pairs.pitched[MASK_RELATIONS.index(relation), offset]),
        )
        for (relation, offset), mean in _measured(curves).items()
        if pairs.at(relation, offset)
    ]


def similarity_recall(spec: MaskSpec, curves: Curves, pairs: RowPairs) -> float:
    """Share of the measured similarity that a mask shows, 0..1; 0 where no offset is above the baseline.

    A mask that shows more has a higher recall, and dense causal attention has 1. So look at recall divided by density as well:
    above 1, the mask prefers similar offsets rather than many.

    Args:
        spec: the mask.
        curves: similarity by offset.
        pairs: of the pieces that were measured, or of others.

    Raises:
        MeloError: no offset ≥ 1 in one of the curves.
    """
    every = measured_offsets(curves, pairs)
    total = sum(o.excess for o in every)
    return sum(o.excess for o in every if spec.sees(o.relation, o.offset)) / total if total > 0 else 0.0


def _measured(curves: Curves) -> dict[tuple[str, int], float]:
    """{(relation, offset ≥ 1): similarity} of the well measured offsets."""
    measured = {(r, k): mean for r in ("same", "cross") for k, mean in well_measured(curves, r).items() if k >= 1}
    if {relation for relation, _ in measured} != {"same", "cross"}:
        raise MeloError(
            "no offset from 1 on was measured for both relations; a mask needs pieces with two parts and two bars or more"
        )
    return measured
