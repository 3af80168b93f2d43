"""What several tests share: MIDI built byte by byte, small pieces, and real files where they are at hand."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from analysis.piece import Bars, Notes, Part, Piece

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("MELOCTL_DATA", ROOT.parent / "shared" / "data"))
"""Folder of real MIDI sets; none of them belongs to this project."""
DIARY = ROOT / "data" / "seed" / "diary-2025-11-28.json"
"""The offset table that the mask of the seed was derived from."""

settings.register_profile("default", deadline=None, max_examples=60)
settings.load_profile("default")


@pytest.fixture
def real():
    """The files of a set of real MIDI, by name; skips where the set is absent."""

    def files(name: str) -> list[Path]:
        found = sorted((DATA / name).glob("*.mid"))
        if not found:
            pytest.skip(f"the set {name!r} of real MIDI is not at hand (set MELOCTL_DATA)")
        return found

    return files


@pytest.fixture
def one_thread():
    """Compute with one thread of torch: matrices as small as those of tests take longer on several."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def variable_length(n: int) -> bytes:
    """A MIDI delta time."""
    out = [n & 0x7F]
    while n := n >> 7:
        out.append(n & 0x7F | 0x80)
    return bytes(reversed(out))


def smf(*tracks: list[tuple[int, bytes]], division: int = 480, kind: int = 1) -> bytes:
    """A Standard MIDI File from tracks of (delta ticks, event bytes)."""
    out = b"MThd" + struct.pack(">IHHH", 6, kind, len(tracks), division)
    for track in tracks:
        body = b"".join(variable_length(delta) + event for delta, event in track) + b"\x00\xff\x2f\x00"
        out += b"MTrk" + struct.pack(">I", len(body)) + body
    return out


def note(pitch: int, ticks: int, *, rest: int = 0, channel: int = 0, velocity: int = 64) -> list[tuple[int, bytes]]:
    """A note of `ticks`, after a rest."""
    on, off = bytes([0x90 | channel, pitch, velocity]), bytes([0x80 | channel, pitch, 0])
    return [(rest, on), (ticks, off)]


def signature(numerator: int, denominator_power: int, *, delta: int = 0) -> tuple[int, bytes]:
    """A time signature event; the denominator is 2 to the power."""
    return delta, bytes([0xFF, 0x58, 4, numerator, denominator_power, 24, 8])


def piece_of(
    notes: list[tuple[int, int, int, int]],
    *,
    parts: tuple[Part, ...] | None = None,
    signatures: list[tuple[int, int, int]] | None = None,
    ticks_per_quarter: int = 12,
    tempo: float = 120.0,
) -> Piece:
    """A piece from (part, onset tick, duration ticks, pitch); 12 ticks a quarter by default."""
    part, onset, duration, pitch = zip(*notes, strict=True)
    parts = parts or tuple(Part(program=10 * i, is_drum=False) for i in range(max(part) + 1))
    return Piece(
        parts=parts,
        notes=Notes.of(onset, duration, pitch, [80] * len(onset), part),
        bars=Bars.of(signatures or [(0, 4, 4)], ticks_per_quarter),
        tempo_tick=np.zeros(1, dtype=np.int64),
        tempo=np.array([tempo]),
    )
