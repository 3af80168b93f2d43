"""What divides notes among parts weighs how much. All of it is fitted on validation mixes, never on test recordings."""

from typing import Annotated

import msgspec
from msgspec import Meta

Weight = Annotated[float, Meta(ge=0.0, le=100.0)]
Number = Annotated[float, Meta(ge=-1000.0, le=1000.0)]

COUNT_FEATURES = 9
"""Numbers from which the number of parts is judged: see `number_of_parts`."""


class CostWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The cost of a note in a part, beside 1 − the cosine of its timbre and the part's."""

    octave: Weight = 0.12
    """A note an octave from the part's register at that time."""

    register_s: Annotated[float, Meta(gt=0.0, le=120.0)] = 2.0
    """Seconds in which the weight of a neighbour in the register falls to 1/e."""

    overlap: Weight = 0.3
    """A note that sounds wholly together with another of the part. It is small beside a strange timbre, so that a part of like
    chords stays one part."""

    start_octave: Weight = 0.3
    """Octaves of pitch beside directions of timbre when clusters are first sought."""


class Calibration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Log odds that a note is right and in the right part: a sum of these."""

    constant: Number = -1.0
    margin: Number = 4.0
    """Times the cost by which the next part is worse, at most `margin_limit`."""

    posterior: Number = 2.0
    """Times the confidence of the note."""

    margin_limit: Weight = 0.5


class CountRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Log odds of a number of parts: the sum of its features times these weights."""

    weights: Annotated[tuple[Number, ...], Meta(min_length=COUNT_FEATURES, max_length=COUNT_FEATURES)] = (
        1.3, -4.1, 0.2, -0.9, -1.3, -6.1, 3.7, 1.0, -1.5,
    )  # fmt: skip


class PartWeights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that divides notes among parts."""

    cost: CostWeights = CostWeights()
    calibration: Calibration = Calibration()
    count: CountRule = CountRule()
