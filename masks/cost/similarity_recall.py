"""How much of the likeness that was measured a mask shows.

Any two bars of a piece share some notes, for they are in one key. How many, the least alike offset tells (of both
relations): that is the floor, and what an offset has above it is its excess. An offset's likeness is its excess times the
pairs of pitched rows that lie at it; headers and drums, which a measure of pitch says nothing about, are left out.
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
    similarity: float
    likeness: float
    """Excess similarity times pairs of pitched rows."""


def least_similar(curves: Curves) -> RelationOffset:
    """The least alike of the well measured offsets ≥ 1, of both relations; the nearer of two equal ones.

    Raises:
        MeloError: no offset ≥ 1 in one of the curves.
    """
    measured = _measured(curves)
    relation, offset = min(measured, key=lambda at: (measured[at], at[1], at[0]))
    return RelationOffset(relation=relation, offset=offset, similarity=measured[relation, offset], likeness=0.0)


def measured_offsets(curves: Curves, pairs: RowPairs) -> list[RelationOffset]:
    """Every well measured offset ≥ 1 of both relations that has pairs of rows.

    Raises:
        MeloError: no offset ≥ 1 in one of the curves.
    """
    least = least_similar(curves).similarity
    return [
        RelationOffset(
            relation=relation,
            offset=offset,
            similarity=mean,
            likeness=(mean - least) * float(pairs.pitched[MASK_RELATIONS.index(relation), offset]),
        )
        for (relation, offset), mean in _measured(curves).items()
        if pairs.work(relation, offset)
    ]


def similarity_recall(spec: MaskSpec, curves: Curves, pairs: RowPairs) -> float:
    """Share of all measured likeness that lies at offsets the mask shows, 0..1; 0 where nothing lies above the floor.

    A mask that shows more captures more, and dense causal attention everything. So look at this share divided by the
    mask's density as well: above 1, the mask shows what is alike rather than merely much.

    Args:
        spec: the mask.
        curves: similarity by offset.
        pairs: the pairs of rows of the pieces that it was measured on, or of others.

    Raises:
        MeloError: no offset ≥ 1 in one of the curves.
    """
    every = measured_offsets(curves, pairs)
    total = sum(c.likeness for c in every)
    return sum(c.likeness for c in every if spec.sees(c.relation, c.offset)) / total if total > 0 else 0.0


def _measured(curves: Curves) -> dict[tuple[str, int], float]:
    measured = {(r, k): mean for r in ("same", "cross") for k, mean in well_measured(curves, r).items() if k >= 1}
    if {relation for relation, _ in measured} != {"same", "cross"}:
        raise MeloError(
            "no offset from 1 on was measured for both relations; a mask needs pieces with two parts and two bars or more"
        )
    return measured
