"""Soundfonts that symusic plays in tune.

symusic 0.5.9 ignores a zone's overriding root key (SoundFont 2.04, section 8.1.3, generator 58) and takes the sample's
own, which puts a piano's a' a semitone low. The copy made here holds the root key where symusic reads it: every zone with an
overriding root key gets a sample header of its own with that root key. No sample is changed.
"""

import struct
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from analysis.atomic_write import atomic_write
from analysis.errors import MeloError

_SAMPLE, _ROOT_KEY = 53, 58
"""Generators of a zone: its sample, and the root key that overrides the sample's."""

_HEADER = 46
"""Bytes of a sample header; its root key is byte 40."""


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


def tuned_soundfont(source: Path, cache: Path) -> Path:
    """Path of a copy of a soundfont whose root keys are in its sample headers; made once.

    Args:
        source: a soundfont.
        cache: folder of the copy.

    Raises:
        MeloError: `source` is not a soundfont.
    """
    tuned = cache / f"{source.stem}-tuned.sf2"
    if not tuned.is_file():
        data = _tuned(source.read_bytes(), str(source))
        with atomic_write(tuned) as temporary:
            temporary.write_bytes(data)
    return tuned


def _tuned(data: bytes, where: str) -> bytes:
    """Bytes of a soundfont with its root keys moved to sample headers; pdta is its last list, and shdr the last chunk of that."""
    if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
        raise MeloError(f"{where}: not a soundfont (.sf2)")
    try:
        lists = {data[o : o + 4]: (o, n) for name, o, n in _chunks(data, 12, len(data)) if name == b"LIST"}
        start, size = lists[b"pdta"]
        chunks = {name: (o, n) for name, o, n in _chunks(data, start + 4, start + size)}
        bags = [struct.unpack_from("<H", data, o)[0] for o in _records(chunks[b"ibag"], 4)]
        generators = [struct.unpack_from("<HH", data, o) for o in _records(chunks[b"igen"], 4)]
        headers = [data[o : o + _HEADER] for o in _records(chunks[b"shdr"], _HEADER)]
    except (KeyError, struct.error) as error:
        raise MeloError(f"{where}: a damaged soundfont") from error
    terminal = headers.pop()
    copies: dict[tuple[int, int], int] = {}
    out = bytearray(data)
    for first, last in zip(bags, bags[1:], strict=False):
        zone = {kind: (i, value) for i, (kind, value) in enumerate(generators[first:last], first)}
        if _SAMPLE not in zone or _ROOT_KEY not in zone:
            continue
        (place, sample), (_, root) = zone[_SAMPLE], zone[_ROOT_KEY]
        if root <= 127 and (sample, root) not in copies:
            copies[sample, root] = len(headers)
            headers.append(headers[sample][:40] + bytes([root]) + headers[sample][41:])
        if root <= 127:
            struct.pack_into("<H", out, chunks[b"igen"][0] + 4 * place + 2, copies[sample, root])
    body = b"".join(headers) + terminal
    at, old = chunks[b"shdr"]
    rest = out[at + old :]
    out[at - 4 :] = struct.pack("<I", len(body)) + body + rest
    struct.pack_into("<I", out, start - 4, size + len(body) - old)
    struct.pack_into("<I", out, 4, len(out) - 8)
    return bytes(out)


def _chunks(data: bytes, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, offset of the content, its length) of the RIFF chunks in a range; chunks begin at even offsets."""
    while start + 8 <= stop:
        length = struct.unpack_from("<I", data, start + 4)[0]
        yield data[start : start + 4], start + 8, length
        start += 8 + length + (length & 1)


def _records(chunk: tuple[int, int], size: int) -> range:
    """Offsets of the records of a chunk."""
    return range(chunk[0], chunk[0] + chunk[1], size)
