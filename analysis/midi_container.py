"""The container of a MIDI file: bytes → the plain Standard MIDI File in them, and what was around it.

A MIDI file comes plain (.mid, .midi, .smf, .kar), in a RIFF file (.rmi: form RMID, the file itself in a chunk `data`), or
packed by gzip (.mid.gz). What counts is the content, not the ending. Unpacking stops at a limit.
"""

import zlib
from collections import Counter
from dataclasses import dataclass, field

from analysis.errors import MeloError

ENDINGS = (".mid", ".midi", ".smf", ".kar", ".rmi")
"""Endings of MIDI files in lower case; each may have .gz behind it."""

_MOST_CHUNKS = 4096
"""Chunks of a RIFF file, and members of a gzip file, that are followed."""

_STEP = 64 << 10
"""Bytes of a gzip file that are unpacked at a time."""


@dataclass(frozen=True, kw_only=True)
class Wrapper:
    """What stood around a plain MIDI file."""

    kind: str = ""
    """"" for a plain file, "RIFF", "gzip", or "RIFF in gzip"."""

    other_chunks: dict[str, int] = field(default_factory=dict)
    """How often each other chunk of the RIFF file stands there, by its name ("LIST INFO"); bytes behind gzip are one too."""

    further_files: int = 0
    """MIDI files behind the first in the RIFF file, or behind the gzip file."""


def is_midi_name(name: str) -> bool:
    """Whether a file's name ends as those of MIDI files do, in capitals or not."""
    return name.lower().removesuffix(".gz").endswith(ENDINGS)


def unwrap(data: bytes, *, most_bytes: int) -> tuple[bytes, Wrapper]:
    """The plain MIDI file in the bytes of a file, and what was around it; plain bytes come back as they are, unchecked.

    Args:
        data: the bytes of a file.
        most_bytes: what a gzip file may unpack to; not a byte more than that is unpacked.

    Raises:
        MeloError: damaged, too large when unpacked, or a RIFF file without MIDI in it.
    """
    packed, rest = data[:2] == b"\x1f\x8b", b""
    if packed:
        data, rest = _unpacked(data, most_bytes)
    riff = data[:4] == b"RIFF"
    found, other = _riff(data) if riff else ([data], Counter[str]())
    further = len(found) - 1 + (b"MThd" in rest)
    if rest and b"MThd" not in rest:
        other["behind gzip"] += 1
    kind = " in ".join(name for name, holds in (("RIFF", riff), ("gzip", packed)) if holds)
    return found[0], Wrapper(kind=kind, other_chunks=dict(other), further_files=further)


def _unpacked(data: bytes, most_bytes: int) -> tuple[bytes, bytes]:
    """The content of a gzip file, of all its members one behind the other, and what stands behind them but for zeros."""
    parts: list[bytes] = []
    size = at = members = 0
    while data[at : at + 2] == b"\x1f\x8b":
        if members == _MOST_CHUNKS:
            raise MeloError(f"a gzip file of over {_MOST_CHUNKS:,} members; unpack it first")
        member, members = zlib.decompressobj(wbits=31), members + 1
        while not member.eof:
            piece = member.unconsumed_tail or data[at : at + _STEP]
            if not piece:
                raise MeloError("damaged: the gzip file ends too early")
            at += 0 if member.unconsumed_tail else len(piece)
            try:
                parts.append(member.decompress(piece, most_bytes - size + 1))
            except zlib.error as error:
                raise MeloError("damaged: it cannot be unpacked by gzip") from error
            size += len(parts[-1])
            if size > most_bytes:
                raise MeloError(f"it unpacks to more than {most_bytes:,} bytes; at most so many are read")
        at -= len(member.unused_data)
    return b"".join(parts), data[at:].strip(b"\0")


def _riff(data: bytes) -> tuple[list[bytes], Counter[str]]:
    """The MIDI files in a RIFF file, at least one, and its other chunks by name.

    The sizes that RIFF gives for its forms are not needed, and a chunk that claims more than there is ends with the file: the
    MIDI file inside says itself where it ends.
    """
    found: list[bytes] = []
    other: Counter[str] = Counter()
    at = 0
    while at + 8 <= len(data):
        name, size = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        form = data[at + 8 : at + 12]
        if name == b"RIFF" and form == b"RMID":
            at += 12
            continue
        if at == 0:
            raise MeloError(f"a RIFF file of {_named(form)}, not of MIDI (RMID)")
        content = data[at + 8 : at + 8 + size] if form == b"MThd" and name == b"data" else b""
        if content:
            found.append(content)
        else:
            other[_named(name + b" " + form if name in (b"RIFF", b"LIST") else name)] += 1
        if len(found) + other.total() > _MOST_CHUNKS:
            raise MeloError(f"a RIFF file of over {_MOST_CHUNKS:,} chunks; no MIDI file has so many")
        at += 8 + size
        at += (
            size % 2 and data[at : at + 1] == b"\0"
        )  # a chunk of odd size has a zero behind it; some writers forget it
    if not found:
        raise MeloError("a RIFF file of MIDI (RMID) without a MIDI file in it")
    return found, other


def _named(name: bytes) -> str:
    return name.decode("latin-1") if name.isascii() and name.decode("latin-1").isprintable() else name.hex()
