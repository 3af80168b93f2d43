"""General MIDI's instrument families, drums among them."""

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


def family_of(part: Part) -> int:
    """Index into FAMILIES."""
    return DRUMS if part.is_drum else part.program // 8
