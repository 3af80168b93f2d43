"""General MIDI's instrument families, drums among them, and the order of parts in a bar."""

from analysis.piece import Part

FAMILIES = (
    "piano",
    "chromatic percussion",
    "organ",
    "guitar",
    "bass",
    "strings",
    "ensemble",
    "brass",
    "reed",
    "pipe",
    "synth lead",
    "synth pad",
    "synth effects",
    "world",
    "percussive",
    "sound effects",
    "drums",
)
"""The 16 families of General MIDI Level 1 (eight programs each), and drums as the last."""

DRUMS = len(FAMILIES) - 1
"""Index of the drums."""

_BASSES = range(32, 40)
PROGRAMS_IN_BAR = (*_BASSES, *(p for p in range(128) if p not in _BASSES))
"""General MIDI programs in the order of their parts in a bar: rhythm and bass come first, the others build on them."""


def family_of(part: Part) -> int:
    """Index into FAMILIES."""
    return DRUMS if part.is_drum else part.program // 8


def place_in_bar(part: Part) -> int:
    """Sort key of parts in a bar: drums, basses, then the other programs; parts of one program keep the file's order."""
    return 0 if part.is_drum else 1 + PROGRAMS_IN_BAR.index(part.program)
