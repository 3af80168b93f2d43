"""Words and ticks that all pictures and pages of similarity by offset share."""

RELATION_WORDS = {"same": "own part", "cross": "other parts"}
"""The relations (`analysis.offsets.RELATIONS`) for people."""


def offset_ticks(last: int) -> range:
    """Offsets from 0 to `last` that an axis numbers: every fourth; fewer where there are many."""
    return range(0, last + 1, 4 * (1 + last // 64))
