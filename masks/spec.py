"""MaskSpec: which earlier rows a row may attend to, by relation and offset, with the reasons. Polarity: True = may attend."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from msgspec import Meta

from analysis.arrays import Bools
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec

MOST_OFFSET = 10_000
"""No offset is larger: no piece that is read has more bars."""

MASK_RELATIONS = ("same", "cross", "drums")
"""The relations of two rows: of one part; of two parts, neither of them drums; of two parts, one of them drums."""

DRUMS = ("masked", "exempt")

Offset = Annotated[int, Meta(ge=0, le=MOST_OFFSET)]
"""Bars between a row and an earlier one."""

Similarity = Annotated[float, Meta(ge=0, le=1)]


class MaskSpec(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.mask/2"
):
    """What a row of part p in bar b may attend to among rows that are not later in generation order.

    Its own part (`same`): its own bar, and every earlier bar or those at some offsets. Other parts (`cross`): bars at
    offsets 0..near, and those at the offsets `far`. Header rows are a part of their own. No row attends to a later one.
    Between drums and another part (`drums`) the mask shows what it shows across parts, or, when drums are exempt, every
    earlier bar. What a drums part sees of itself is `same`.

    Raises:
        MeloError: on values that contradict each other or lie outside their range.
    """

    noun: ClassVar[str] = "mask"
    made_by: ClassVar[str] = "meloctl derive-mask"

    same: Literal["full"] | tuple[Offset, ...]
    """"full", or the offsets ≥ 1 shown of the own part, ascending; offset 0 is always shown."""

    near: Offset
    """Other parts are shown at offsets 0..near."""

    far: tuple[Offset, ...]
    """Offsets beyond `near` at which other parts are also shown, ascending."""

    drums: Literal["masked", "exempt"] = "masked"
    """"exempt": what measures of pitch, which say nothing about drums, would hide between drums and other parts is shown."""

    summaries: bool
    """Rows also attend to one summary vector of each earlier bar."""

    same_prior: Mapping[Offset, Similarity] = {}
    """{offset: similarity} measured within a part; the gates start from it."""

    cross_prior: Mapping[Offset, Similarity] = {}
    """{offset: similarity} measured across parts."""

    reasons: tuple[str, ...] = ()
    """One line for each choice."""

    source: Mapping[str, Any] = {}
    """Where it comes from: corpus, hash of the table, rule, version."""

    def __post_init__(self) -> None:
        self.check()
        if self.same != "full":
            _check_offsets("same", self.same, lowest=1)
        _check_offsets("far", self.far, lowest=self.near + 1)

    def sees(self, relation: str, offset: int) -> bool:
        """Whether a row may attend to rows of a relation, one of MASK_RELATIONS, `offset` ≥ 0 bars back.

        Raises:
            ValueError: no such relation.
        """
        if relation not in MASK_RELATIONS:
            raise ValueError(f"relation {relation!r} is not one of {', '.join(MASK_RELATIONS)}")
        if relation == "same":
            return offset == 0 or self.same == "full" or offset in self.same
        exempt = relation == "drums" and self.drums == "exempt"
        return exempt or offset <= self.near or offset in self.far


def visible_offsets(spec: MaskSpec, n_offsets: int) -> Bools:
    """(3, n_offsets) `spec.sees` of each of MASK_RELATIONS at offsets 0, 1, …: True = may attend."""
    visible = [[spec.sees(relation, k) for k in range(n_offsets)] for relation in MASK_RELATIONS]
    return np.array(visible, dtype=np.bool_)


def near_and_far(offsets: Iterable[int]) -> tuple[int, tuple[int, ...]]:
    """Offsets ≥ 1 split into `near`, the end of the consecutive ones from 1 on (0 where 1 is missing), and `far`, the others."""
    chosen, near = set(offsets), 0
    while near + 1 in chosen:
        near += 1
    return near, tuple(sorted(k for k in chosen if k > near))


def _check_offsets(name: str, offsets: tuple[int, ...], *, lowest: int) -> None:
    if (offsets and offsets[0] < lowest) or list(offsets) != sorted(set(offsets)):
        shown = str(list(offsets))
        shown = shown if len(shown) <= 40 else f"{shown[:39]}…"
        raise MeloError(f"{name} is {shown}; it must hold offsets {lowest} to {MOST_OFFSET}, ascending, each once")
