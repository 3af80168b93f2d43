"""Levels: attributes in standard units of a reference corpus. Shape letters: T bars, A attributes."""

from collections.abc import Iterable
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from analysis.arrays import Floats, Floats32
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from meloctl.rows.attributes import ATTRIBUTES

_Column = Annotated[tuple[float, ...], Meta(min_length=len(ATTRIBUTES), max_length=len(ATTRIBUTES))]

_SAME = 1e-6
"""Values that differ by less are the same but for rounding."""


class AttributeScale(
    JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag="meloctl.attribute_scale/1"
):
    """Mean and standard deviation of each attribute over the bars of a corpus.

    Raises:
        MeloError: a deviation that is not above 0, or a number that is not finite.
    """

    noun: ClassVar[str] = "attribute scale"

    mean: _Column
    """(A,) of bars, in the attribute's unit; each piece counts the same."""

    deviation: _Column
    """(A,) root of the mean square distance from it."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mean).all() and np.isfinite(self.deviation).all() and min(self.deviation) > 0):
            raise MeloError("numbers that are not finite, or deviations that are not above 0")

    def levels(self, attributes: Floats) -> Floats:
        """(…, A) attributes → levels: 0 is usual, 1 a standard deviation above; NaN stays."""
        return np.asarray((attributes - np.array(self.mean)) / np.array(self.deviation))

    def attributes(self, levels: Floats) -> Floats:
        """(…, A) levels → attributes; NaN stays."""
        return np.asarray(levels * np.array(self.deviation) + np.array(self.mean))


def mean_levels(levels: Floats | Floats32) -> Floats:
    """(A,) means over bars of levels (T, A), without NaN; NaN where there is nothing else."""
    known = np.isfinite(levels)
    total = np.where(known, levels, 0).sum(axis=0, dtype=np.float64)
    return np.asarray(total / np.where(known.any(axis=0), known.sum(axis=0), np.nan))


def attribute_scale(pieces: Iterable[Floats], *, constant: float | None = None) -> AttributeScale:
    """The scale of pieces, whose bars have attributes (T, A) each.

    Args:
        pieces: their bars' attributes, NaN where unknown.
        constant: the deviation that an attribute is given that never differs or that no piece has; None to refuse it.

    Raises:
        MeloError: such an attribute, and `constant` is None.
    """
    every = [bars for bars in pieces if len(bars)]
    mean = _mean_over_pieces(every)
    deviation = np.sqrt(_mean_over_pieces([(bars - mean) ** 2 for bars in every]))
    if constant is not None:
        mean, deviation = np.nan_to_num(mean), np.where(deviation > _SAME, deviation, constant)
    if not (deviation > _SAME).all():
        same = [name for name, d in zip(ATTRIBUTES, deviation, strict=True) if not d > _SAME]
        raise MeloError(f"{', '.join(same)} never differ in this corpus; give one of more different music")
    return AttributeScale(mean=tuple(mean.tolist()), deviation=tuple(deviation.tolist()))


def _mean_over_pieces(pieces: list[Floats]) -> Floats:
    """(A,) mean over pieces of their bars' means, without NaN; NaN where there is nothing else."""
    total, count = np.zeros(len(ATTRIBUTES)), np.zeros(len(ATTRIBUTES))
    for bars in pieces:
        known = np.isfinite(bars)
        n = known.sum(axis=0)
        mean = np.where(known, bars, 0).sum(axis=0) / np.maximum(n, 1)
        total, count = total + mean, count + (n > 0)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
