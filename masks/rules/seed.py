"""The seed's rule: from similarity by offset to a mask, with a reason for each choice.

Source: research diary of 2025-11-28, sections 4.1 to 4.3 (the table is data/seed/diary-2025-11-28.json).
"""

from statistics import median
from typing import Literal

from analysis.errors import MeloError
from analysis.offset_table_file import Curves
from masks.describe import drums_reasons, format_offsets
from masks.spec import MaskSpec


def derive_mask(
    curves: Curves,
    *,
    n_far: int = 1,
    drums: Literal["masked", "exempt"] = "masked",
    version: str = "",
    corpus: str = "",
) -> MaskSpec:
    """The mask of the seed's rule.

    - `same` is full when the weakest similarity within a part is above the strongest one across parts (offsets ≥ 1);
      otherwise it holds the offsets above that one (and the best offset, should there be none).
    - `near` is the leading run of cross offsets above the cross curve's median (offsets ≥ 1).
    - `far` holds the `n_far` strongest cross offsets beyond `near`.

    An offset that fewer than a tenth as many pairs as the best measured one speak for is not considered: at far offsets
    only a few long pieces are left, and their mean says little of the others.

    Args:
        curves: similarity by offset; offsets that were not measured are not chosen.
        n_far: how many far offsets, ≥ 0.
        drums: what the mask says between drums and other parts.
        version, corpus: recorded as provenance.

    Raises:
        MeloError: no offset ≥ 1 in one of the curves.
    """
    same, cross = (well_measured(curves, relation) for relation in ("same", "cross"))
    across = {k: v for k, v in cross.items() if k >= 1}
    if not same or not across:
        raise MeloError(
            "no offset from 1 on was measured for both relations; a mask needs pieces with two parts and two bars or more"
        )
    weakest, strongest = min(same, key=lambda k: (same[k], k)), max(across, key=lambda k: (across[k], -k))
    chosen, why_same = _same(same, weakest, across, strongest)
    near, why_near = _near(cross, across)
    far = tuple(sorted(sorted((k for k in across if k > near), key=lambda k: (-across[k], k))[:n_far]))
    return MaskSpec(
        same=chosen,
        near=near,
        far=far,
        drums=drums,
        summaries=True,
        same_prior=same,
        cross_prior=cross,
        reasons=(
            why_same,
            why_near,
            _far(far, near, across),
            *drums_reasons(drums),
            "Summaries: on. Of what the mask hides, one vector for each earlier bar is left.",
            *left_out(curves),
        ),
        source={
            "rule": "seed",
            "far": n_far,
            "measure": curves.measure,
            "table": curves.table_hash,
            "corpus": corpus,
            "meloctl": version,
        },
    )


_THIN = 0.1
"""An offset needs at least this share of the best measured offset's pairs."""


def well_measured(curves: Curves, relation: str) -> dict[int, float]:
    """{offset: mean similarity} of a relation (of `analysis.offsets.RELATIONS`) without the offsets that have too few pairs.

    A table without counts of pairs is taken whole.
    """
    means, pairs = getattr(curves, relation), curves.pairs.get(relation, {})
    least = _THIN * max(pairs.values(), default=0)
    return {k: v for k, v in means.items() if pairs.get(k, least) >= least}


def left_out(curves: Curves) -> list[str]:
    """The reason that names the offsets with too few pairs; an empty list where there are none."""
    thin = [
        (name, sorted(set(getattr(curves, relation)) - set(well_measured(curves, relation))))
        for name, relation in (("own part", "same"), ("other parts", "cross"))
    ]
    listed = "; ".join(f"{name} {format_offsets(offsets)}" for name, offsets in thin if offsets)
    return (
        [f"Not considered, for too few pairs (under a tenth of the best measured offset's): {listed}."]
        if listed
        else []
    )


def _same(
    same: dict[int, float], weakest: int, across: dict[int, float], strongest: int
) -> tuple[tuple[int, ...] | Literal["full"], str]:
    low, high = same[weakest], across[strongest]
    if low > high:
        return "full", (
            f"Own part: every earlier bar. Even the least similar offset ({_bars(weakest)} back, {low:.3f}) is more similar than "
            f"the most similar across parts ({_bars(strongest)} back, {high:.3f})."
        )
    above = tuple(k for k in sorted(same) if same[k] > high)
    if above:
        return above, (
            f"Own part: only the {len(above)} of {len(same)} offsets that are more similar than the best across parts "
            f"({_bars(strongest)} back, {high:.3f}): {format_offsets(above)}. "
            f"The least similar, {_bars(weakest)} back, has {low:.3f}."
        )
    best = max(same, key=lambda k: (same[k], -k))
    return (best,), (
        f"Own part: only {_bars(best)} back ({same[best]:.3f}), its best; no offset within a part is more similar than the "
        f"best across parts ({_bars(strongest)} back, {high:.3f})."
    )


def _near(cross: dict[int, float], across: dict[int, float]) -> tuple[int, str]:
    middle = median(across.values())
    near = 0
    while across.get(near + 1, 0.0) > middle:
        near += 1
    here = f" (offset 0: {cross[0]:.3f})" if 0 in cross else ""
    after = (
        f"offset {near + 1} ({across[near + 1]:.3f}) does not"
        if near + 1 in across
        else f"offset {near + 1} was not measured"
    )
    opening = f"Other parts: the same bar{here}, where harmony is made"
    if near == 0:
        return 0, f"{opening}, and no other. Of the earlier bars, {after} lie above the curve's median ({middle:.4f})."
    values = [across[k] for k in range(1, near + 1)]
    run = ", ".join(f"{k} ({v:.3f})" for k, v in enumerate(values, 1))
    if near > 4:
        run = f"1 to {near} ({min(values):.3f} to {max(values):.3f})"
    lie = f"Offset {run} lies" if near == 1 else f"Offsets {run} lie"
    return near, f"{opening}, and the {_bars(near)} before it. {lie} above the curve's median ({middle:.4f}); {after}."


def _far(far: tuple[int, ...], near: int, across: dict[int, float]) -> str:
    if not far:
        return f"Other parts, further back: nothing beyond offset {near}."
    run = ", ".join(f"{k} bars back ({across[k]:.3f})" for k in far)
    return f"Other parts, further back: {run}, the most similar beyond offset {near}."


def _bars(n: int) -> str:
    return "1 bar" if n == 1 else f"{n} bars"
