"""A mask in words, its density and its receptive field, from counts of rows alone, never from the L×L matrix."""

from collections.abc import Sequence

import numpy as np

from analysis.arrays import Bools
from masks.cost.row_pairs import RowPairs
from masks.spec import MASK_RELATIONS, MOST_OFFSET, MaskSpec, visible_offsets


def describe_mask(spec: MaskSpec) -> str:
    """What a mask shows, in one line."""
    own = (
        "every earlier bar"
        if spec.same == "full"
        else f"offsets {format_offsets(spec.same)}"
        if spec.same
        else "its own bar"
    )
    near = (
        "every earlier bar"
        if spec.near == MOST_OFFSET
        else f"offsets 0 to {spec.near}"
        if spec.near
        else "the same bar"
    )
    far = f", and {format_offsets(spec.far)} back" if spec.far else ""
    drums = " Between drums and other parts: every earlier bar." if spec.drums == "exempt" else ""
    return f"Own part: {own}. Other parts: {near}{far}.{drums} Summaries: {'on' if spec.summaries else 'off'}."


def drums_reasons(drums: str) -> list[str]:
    """The reason for exempt drums, as one line; an empty list for masked ones, which are a part like any other."""
    exempt = (
        "Drums and other parts attend to each other at every earlier bar: similarity of pitch says nothing about drums."
    )
    return [exempt] if drums == "exempt" else []


def format_offsets(offsets: Sequence[int]) -> str:
    """Offsets, ascending, as text: 1, 2, 3, 4, 8 as "1–4, 8"."""
    ranges: list[list[int]] = []
    for k in offsets:
        if ranges and k == ranges[-1][-1] + 1:
            ranges[-1].append(k)
        else:
            ranges.append([k])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]}–{r[-1]}" for r in ranges)


def density(spec: MaskSpec, pairs: RowPairs) -> float:
    """Share of dense causal attention's pairs of rows that the mask shows, 0..1; 0 where there are no rows.

    Args:
        spec: the mask.
        pairs: of the pieces.
    """
    shown = float((pairs.counts * visible_offsets(spec, pairs.counts.shape[1])).sum())
    return shown / pairs.total if pairs.total else 0.0


def reach(spec: MaskSpec, layers: int, *, bars: int = 33) -> dict[str, list[int]]:
    """Receptive field of a row in bars: the offsets that reach it through several layers of row attention, without summaries.

    The piece has three pitched parts or more, and drums; the row is of a pitched part.

    Args:
        spec: the mask.
        layers: of row attention.
        bars: offsets 0..bars − 1 are looked at.

    Returns:
        {"same": offsets within its own part, "cross": offsets in a given other part, "drums": offsets in the drums}
    """
    same, cross, drums = visible_offsets(spec, bars)
    own, other, drum = (
        np.eye(1, bars, dtype=np.bool_)[0],
        np.zeros(bars, dtype=np.bool_),
        np.zeros(bars, dtype=np.bool_),
    )
    for _ in range(layers):
        own, other, drum = (
            _sum(own, same) | _sum(other, cross) | _sum(drum, drums),
            _sum(other, same) | _sum(own, cross) | _sum(other, cross) | _sum(drum, drums),
            _sum(drum, same) | _sum(own, drums) | _sum(other, drums),
        )
    return {
        name: np.flatnonzero(reached).tolist() for name, reached in zip(MASK_RELATIONS, (own, other, drum), strict=True)
    }


def _sum(a: Bools, b: Bools) -> Bools:
    """(N,) True at the offsets that are the sum of one in `a` (N,) and one in `b` (N,)."""
    return np.convolve(a.astype(int), b.astype(int))[: len(a)] > 0
