"""Imported by the process from which workers are forked: a small piece is read and measured, so that they find everything
imported, compiled and loaded."""

from contextlib import suppress

from analysis.measure_corpus import MeasureChunk
from analysis.midi import parse_midi

_BAR = b"".join(b"%c\x90%c\x40\x60\x80%c\x40" % (0, pitch, pitch) for pitch in (60, 64, 67, 64))
"""Four quarter notes of 96 ticks."""


def _song() -> bytes:
    """A Standard MIDI File: two parts of two bars, one of them drums."""
    tracks = [_BAR + _BAR, _BAR.replace(b"\x90", b"\x99").replace(b"\x80", b"\x89") * 2]
    ended = [track + b"\x00\xff\x2f\x00" for track in tracks]
    header = b"MThd\x00\x00\x00\x06\x00\x01\x00\x02\x00\x60"
    return header + b"".join(b"MTrk" + len(track).to_bytes(4, "big") + track for track in ended)


with suppress(KeyboardInterrupt):  # Ctrl-C is for the parent
    MeasureChunk(shuffled=frozenset([0]), draws=1).measure_piece(parse_midi(_song()), 0)
