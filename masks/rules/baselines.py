"""Baseline masks: Museformer's offsets, a window of the last bars, dense causal attention, and random offsets.

All have summaries on, so that models trained under them differ in their row attention and in nothing else.
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
"""The bars back to which Museformer attends row by row."""

_SUMMARIES = "Summaries: on, as for every rule, so that masks differ in their rows alone."
_TOLERANCE = 0.05
"""Relative error of the cost of random masks."""


def museformer_mask(*, drums: Drums = "masked") -> MaskSpec:
    """The mask of Museformer's structure-related bars, for both relations.

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
            f"Other parts: {said} back; Museformer does not distinguish parts.",
            *drums_reasons(drums),
            "Summaries: on, as in Museformer: each other bar is one vector.",
        ),
        source={"rule": "museformer", "paper": "Museformer (Yu et al., 2022)"},
    )


def window_mask(bars: int, *, drums: Drums = "masked") -> MaskSpec:
    """The mask of a row's own bar and the last `bars` bars, for both relations.

    Raises:
        MeloError: `bars` is not 0 to MOST_OFFSET.
    """
    if not 0 <= bars <= MOST_OFFSET:
        raise MeloError(f"give how many earlier bars to show, 0 to {MOST_OFFSET}", field="bars", given=bars)
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
    """The mask of dense causal attention: all rows that are not later."""
    return MaskSpec(
        same="full",
        near=MOST_OFFSET,
        far=(),
        summaries=True,
        reasons=("Own part: every earlier bar.", "Other parts: every earlier bar; nothing is hidden.", _SUMMARIES),
        source={"rule": "causal"},
    )


def window_like(like: MaskSpec, pairs: RowPairs) -> MaskSpec:
    """The window mask whose density is nearest to a given mask's; the smaller of two equally near ones.

    Args:
        like: the mask whose density is to be met; drums are taken from it.
        pairs: of the pieces that the mask is for.
    """
    target = density(like, pairs)
    low, high = 0, pairs.counts.shape[1] - 1  # the cost grows with the window: halve until two are left
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if density(window_mask(middle, drums=like.drums), pairs) <= target else (low, middle)
    found = [window_mask(n, drums=like.drums) for n in (low, high)]
    return min(found, key=lambda spec: abs(density(spec, pairs) - target))


def random_mask(like: MaskSpec, pairs: RowPairs, random: np.random.Generator) -> MaskSpec:
    """A mask of random offsets at about the density of a given mask: the baseline for rules that use the measured similarity.

    Relations and offsets (1 to 32; to the longest piece's last bar, should those not reach the density) are sampled one by one
    without replacement, with equal probability. One that would exceed the density is passed over, and sampling stops within 5 %
    of it. Where no offset fits, the density is further off: the reasons say what it is.

    Args:
        like: the mask whose density is to be met; drums and summaries are taken from it.
        pairs: of the pieces that the mask is for.
        random: samples the offsets.
    """
    target = density(like, pairs)
    bare = MaskSpec(same=(), near=0, far=(), drums=like.drums, summaries=like.summaries)
    longest = pairs.counts.shape[1] - 1
    everything = replace(bare, same=tuple(range(1, MAX_OFFSET + 1)), near=MAX_OFFSET)
    most = min(longest, MAX_OFFSET) if density(everything, pairs) >= (1 - _TOLERANCE) * target else longest
    shown = _sample_offsets(pairs, random, most=most, spent=density(bare, pairs), target=target, drums=like.drums)
    near, far = near_and_far(shown["cross"])
    spec = replace(bare, same=tuple(sorted(shown["same"])), near=near, far=far)
    used = density(spec, pairs)
    return replace(
        spec,
        reasons=(
            f"Own part: {_offsets_back(sorted(shown['same']))}, sampled at random.",
            f"Other parts: {_offsets_back(sorted(shown['cross']))}, sampled at random.",
            f"Cost: {used:.3f} of dense causal attention's pairs of rows; {target:.3f} were aimed at.",
            *drums_reasons(like.drums),
            f"Summaries: {'on' if like.summaries else 'off'}, as in the mask whose cost is met.",
        ),
        source={"rule": "random", "like": str(like.source.get("rule", "")), "cost": target, "used": used},
    )


def with_priors(spec: MaskSpec, curves: Curves, *, version: str, corpus: str) -> MaskSpec:
    """A mask with the measured similarity as its priors, and with its provenance in `source`.

    Args:
        spec: the mask of a rule.
        curves: similarity by offset.
        version: of this program.
        corpus: name of the corpus that was measured.
    """
    provenance = {"measure": curves.measure, "table": curves.table_hash, "corpus": corpus, "meloctl": version}
    return replace(spec, same_prior=curves.same, cross_prior=curves.cross, source={**spec.source, **provenance})


def _sample_offsets(
    pairs: RowPairs, random: np.random.Generator, *, most: int, spent: float, target: float, drums: Drums
) -> dict[str, list[int]]:
    """{relation: offsets} sampled until the density `spent` (before any of them) is within the tolerance of `target`."""
    shown: dict[str, list[int]] = {"same": [], "cross": []}
    for n in random.permutation(2 * most):
        relation, offset = ("same", "cross")[n % 2], int(n // 2) + 1
        if spent >= (1 - _TOLERANCE) * target:
            break
        also = pairs.at("drums", offset) if relation == "cross" and drums == "masked" else 0.0
        share = (pairs.at(relation, offset) + also) / pairs.total
        if spent + share <= (1 + _TOLERANCE) * target:
            shown[relation].append(offset)
            spent += share
    return shown


def _offsets_back(offsets: Sequence[int]) -> str:
    return f"{format_offsets(offsets)} back" if offsets else "no earlier bar"
