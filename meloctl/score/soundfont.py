"""The soundfont that sound is made with: where it is, and whether its bytes are whole."""

import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from analysis.errors import MeloError

_RECORDS = {"phdr": 38, "pbag": 4, "pmod": 10, "pgen": 4, "inst": 22, "ibag": 4, "imod": 10, "igen": 4, "shdr": 46}
"""Bytes of a record of each chunk of the list pdta (SoundFont 2.04, section 7)."""

_INDICES = (
    *(("phdr", 24, "pbag"), ("pbag", 0, "pgen"), ("pbag", 2, "pmod")),
    *(("inst", 20, "ibag"), ("ibag", 0, "igen"), ("ibag", 2, "imod")),
)
"""Which chunk's records hold, at which byte, the index of a record of which other; each list of indices ascends."""

_HEADER = np.dtype([("name", "S20"), *((place, "<u4") for place in ("start", "stop", "loop", "end")), ("rest", "V10")])
"""A sample's header, its places counted in samples."""


def find_soundfont() -> Path:
    """Path of the soundfont inside an installed pretty_midi (it is GPL, so it is used from there and never shipped).

    Raises:
        MeloError: pretty_midi carries none.
    """
    found = find_spec("pretty_midi")
    fonts = sorted(Path(found.origin).parent.glob("*.sf2")) if found and found.origin else []
    if not fonts:
        raise MeloError("no soundfont found: pip install pretty_midi (meloctl generate needs none with `sound none`)")
    return fonts[0]


def read_soundfont(path: Path) -> bytes:
    """The bytes of a soundfont whose chunks are whole and whose samples lie inside it.

    Raises:
        MeloError: it cannot be read, is no SoundFont 2, or is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MeloError(f"{path}: cannot be read: {(error.strerror or str(error)).lower()}") from error
    if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
        raise MeloError(f"{path}: not a soundfont (.sf2)")
    if reason := _damage(data):
        raise MeloError(
            f"{path}: a damaged soundfont: {reason}; install it again: pip install --force-reinstall pretty_midi"
        )
    return data


def _damage(data: bytes) -> str:
    """What is wrong with the bytes of a soundfont; nothing, if all is well."""
    try:
        lists = {data[at : at + 4]: (at + 4, end) for name, at, end in _chunks(data, 12, len(data)) if name == b"LIST"}
        chunks = {
            name.decode("ascii", "replace"): (at, end)
            for kind in (b"sdta", b"pdta")
            for name, at, end in _chunks(data, *lists[kind])
        }
        begin, end = chunks["smpl"]
        sizes = {name: chunks[name][1] - chunks[name][0] for name in _RECORDS}
    except KeyError as error:
        return f"it has no chunk {error.args[0]!r}".replace("b'", "'")
    except ValueError as error:
        return str(error)
    odd = [name for name, size in _RECORDS.items() if sizes[name] % size or not sizes[name]]
    if odd or (end - begin) % 2 or end - begin < 8:
        return f"its chunk {odd[0] if odd else 'smpl'!r} holds no whole records"
    for name, at, other in _INDICES:
        records = np.frombuffer(data, np.uint8, sizes[name], chunks[name][0]).reshape(-1, _RECORDS[name])
        index = records[:, at : at + 2].copy().view("<u2")[:, 0].astype(np.int64)
        if (np.diff(index) < 0).any() or index[-1] >= sizes[other] // _RECORDS[other]:
            return f"its chunk {name!r} points where {other!r} holds nothing"
    samples = np.frombuffer(data, _HEADER, sizes["shdr"] // _RECORDS["shdr"], chunks["shdr"][0])[:-1]
    last = (end - begin) // 2 - 1
    start, loop, loop_end, stop = (samples[name].astype(np.int64) for name in ("start", "loop", "end", "stop"))
    inside = (start <= loop) & (loop <= loop_end) & (loop_end <= last) & (start <= stop) & (stop <= last)
    if not len(samples) or not inside.all():
        return "a sample lies outside of it"
    return ""


def _chunks(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, first byte, end) of the RIFF chunks in a range, which begin at even offsets. Raises ValueError where one is cut."""
    while start < stop:
        if start + 8 > stop:
            raise ValueError("it ends inside a chunk")
        end = start + 8 + struct.unpack_from("<I", data, start + 4)[0]
        if end > stop:
            raise ValueError("it ends inside a chunk")
        yield data[start : start + 4], start + 8, end
        start = end + (end - start & 1)
