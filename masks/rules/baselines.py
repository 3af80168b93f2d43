"""Masks to compare with: Museformer's offsets, the last bars, everything, and offsets drawn at random.

All have summaries on, so that models trained under them differ in what their rows show each other and in nothing else.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from msgspec.structs import replace

from analysis.errors import MeloError
from analysis.offset_table_file import Curves
from analysis.offsets import MAX_OFFSET
from masks.cost.row_pairs import RowPairs
from masks.describe import density, drums_reasons, format_offsets
from masks.spec import MOST_OFFSET, MaskSpec, near_and_far

Drums = Literal["masked", "exempt"]

MUSEFORMER = (1, 2, 4, 8, 12, 16, 24, 32)
"""The bars back that Museformer sees row by row."""

_SUMMARIES = "Summaries: on, as for every rule, so that masks differ in their rows alone."
_TOLERANCE = 0.05
"""Of the cost that random offsets are to have."""


def museformer_mask(*, drums: Drums = "masked") -> MaskSpec:
    """Museformer's structure-related bars, for both relations.

    Source: Museformer (Yu et al., 2022), section 3.2: fine-grained attention to the bars 1, 2, 4, 8, 12, 16, 24 and 32
    back, coarse-grained attention to a summary of each other bar.
    """
    near, far = near_and_far(MUSEFORMER)
    said = format_offsets(MUSEFORMER)
    return MaskSpec(
        same=MUSEFORMER,
        near=near,
        far=far,
        drums=drums,
        summaries=True,
        reasons=(
            f"Own part: {said} back, chosen by Museformer from the similarity in its own data (Lakh MIDI), not in this table.",
            f"Other parts: {said} back; Museformer does not tell parts apart.",
            *drums_reasons(drums),
            "Summaries: on, as in Museformer: the other bars are heard through one vector each.",
        ),
        source={"rule": "museformer", "paper": "Museformer (Yu et al., 2022)"},
    )


def window_mask(bars: int, *, drums: Drums = "masked") -> MaskSpec:
    """The last `bars` bars and one's own, for both relations. Raises MeloError unless `bars` is 0 to MOST_OFFSET."""
    if not 0 <= bars <= MOST_OFFSET:
        raise MeloError(f"give how many earlier bars to see, 0 to {MOST_OFFSET}", field="bars", given=bars)
    last = "no earlier bar" if bars == 0 else "the bar before" if bars == 1 else f"the last {bars} bars"
    return MaskSpec(
        same=tuple(range(1, bars + 1)),
        near=bars,
        far=(),
        drums=drums,
        summaries=True,
        reasons=(
            f"Own part: {last}, whatever was measured.",
            f"Other parts: {last}.",
            *drums_reasons(drums),
            _SUMMARIES,
        ),
        source={"rule": "window", "bars": bars},
    )


def causal_mask() -> MaskSpec:
    """Everything that is not later: dense causal attention."""
    return MaskSpec(
        same="full",
        near=MOST_OFFSET,
        far=(),
        summaries=True,
        reasons=("Own part: every earlier bar.", "Other parts: every earlier bar; nothing is hidden.", _SUMMARIES),
        source={"rule": "causal"},
    )


def window_like(like: MaskSpec, pairs: RowPairs) -> MaskSpec:
    """The window whose cost is nearest to a given mask's; the smaller of two equally near ones."""
    target = density(like, pairs)
    low, high = 0, pairs.counts.shape[1] - 1  # the cost grows with the window: halve until two are left
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if density(window_mask(middle, drums=like.drums), pairs) <= target else (low, middle)
    found = [window_mask(n, drums=like.drums) for n in (low, high)]
    return min(found, key=lambda spec: abs(density(spec, pairs) - target))


def random_mask(like: MaskSpec, pairs: RowPairs, random: np.random.Generator) -> MaskSpec:
    """Offsets drawn at random, at about the cost of a given mask: what a mask is worth that knows nothing.

    Relations and offsets (1 to 32; to the longest piece's last bar, should those not cost enough) are drawn one by one, each
    with equal chances. One that would cost too much is passed over, and the drawing stops within 5 % of the cost. Where
    no offset fits, the cost is further off: the reasons say what it is.

    Args:
        like: the mask whose cost is to be met; drums and summaries are taken from it.
        pairs: pairs of rows, of the pieces that the mask is for.
        random: draws the offsets.
    """
    target = density(like, pairs)
    bare = MaskSpec(same=(), near=0, far=(), drums=like.drums, summaries=like.summaries)
    longest = pairs.counts.shape[1] - 1
    everything = replace(bare, same=tuple(range(1, MAX_OFFSET + 1)), near=MAX_OFFSET)
    most = min(longest, MAX_OFFSET) if density(everything, pairs) >= (1 - _TOLERANCE) * target else longest
    shown = _drawn(pairs, random, most=most, spent=density(bare, pairs), target=target, drums=like.drums)
    near, far = near_and_far(shown["cross"])
    spec = replace(bare, same=tuple(sorted(shown["same"])), near=near, far=far)
    used = density(spec, pairs)
    return replace(
        spec,
        reasons=(
            f"Own part: {_said(sorted(shown['same']))}, drawn at random.",
            f"Other parts: {_said(sorted(shown['cross']))}, drawn at random.",
            f"Cost: {used:.3f} of dense causal attention's pairs of rows; {target:.3f} were aimed at.",
            *drums_reasons(like.drums),
            f"Summaries: {'on' if like.summaries else 'off'}, as in the mask whose cost is met.",
        ),
        source={"rule": "random", "like": str(like.source.get("rule", "")), "cost": target, "used": used},
    )


def with_priors(spec: MaskSpec, curves: Curves, *, version: str, corpus: str) -> MaskSpec:
    """A rule's mask with the measured similarities, from which gates start, and where it comes from."""
    provenance = {"measure": curves.measure, "table": curves.table_hash, "corpus": corpus, "meloctl": version}
    return replace(spec, same_prior=curves.same, cross_prior=curves.cross, source={**spec.source, **provenance})


def _drawn(
    pairs: RowPairs, random: np.random.Generator, *, most: int, spent: float, target: float, drums: Drums
) -> dict[str, list[int]]:
    """{relation: offsets} drawn until their cost is near the target."""
    shown: dict[str, list[int]] = {"same": [], "cross": []}
    for n in random.permutation(2 * most):
        relation, offset = ("same", "cross")[n % 2], int(n // 2) + 1
        if spent >= (1 - _TOLERANCE) * target:
            break
        also = pairs.work("drums", offset) if relation == "cross" and drums == "masked" else 0.0
        work = (pairs.work(relation, offset) + also) / pairs.total
        if spent + work <= (1 + _TOLERANCE) * target:
            shown[relation].append(offset)
            spent += work
    return shown


def _said(offsets: Sequence[int]) -> str:
    return f"{format_offsets(offsets)} back" if offsets else "no earlier bar"
