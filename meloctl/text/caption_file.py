"""Captions that people or other systems wrote: a JSONL file, one object a line, as MidiCaps has it.

    {"location": "lmd_full/1/1a0b97.mid", "caption": "A melodic electronic song …", …}

`location` is a path, `caption` a text; other keys are passed over. A caption belongs to the file of a corpus whose path ends as
its location does, so folders above may differ.
"""

import codecs
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from analysis.errors import MeloError
from analysis.json_spec import parse_json

MAX_LINE = 64 << 10
"""Bytes of a line."""

MAX_LINES = 2_000_000
MAX_CAPTION = 4_000
"""Characters of a caption."""

MAX_LOCATION = 1_000
"""Characters of a location."""

_EXAMPLE = '{"location": "a.mid", "caption": "…"}'


@dataclass(frozen=True, kw_only=True)
class WrittenCaption:
    """One line of a caption file."""

    line: int
    """Counted from 1."""

    location: str
    text: str


@dataclass(frozen=True, kw_only=True)
class PairedCaptions:
    """Captions with the files of a corpus that they describe."""

    captions: dict[Path, tuple[WrittenCaption, ...]]
    """By file, in the order of the files given; only files that have captions."""

    without_file: tuple[WrittenCaption, ...]
    """Captions whose location is no file of the corpus, or more than one."""


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    location: str
    caption: str


def read_captions(path: Path) -> list[WrittenCaption]:
    """All captions of a JSONL file. Raises MeloError for the first line that is none, with its number."""
    captions = [_parsed(raw, f"{path}, line {number}", number) for number, raw in _lines(path) if raw.strip()]
    if not captions:
        raise MeloError(f"{path}: no captions in it; give lines such as {_EXAMPLE}")
    return captions


def pair_captions(captions: Iterable[WrittenCaption], files: Sequence[Path], corpus: Path) -> PairedCaptions:
    """Captions by file of a corpus: a location names a file where either path ends with the whole of the other.

    A location that fits several files belongs to none of them. Paths are compared below the corpus's folder, with their endings.
    """
    by_name: defaultdict[str, list[tuple[tuple[str, ...], Path]]] = defaultdict(list)
    for file in files:
        by_name[file.name].append((file.relative_to(corpus).parts, file))
    paired: defaultdict[Path, list[WrittenCaption]] = defaultdict(list)
    without = []
    for caption in captions:
        parts = PurePosixPath(caption.location.replace("\\", "/")).parts
        fits = [file for own, file in by_name.get(parts[-1] if parts else "", ()) if _ends_alike(own, parts)]
        if len(fits) == 1:
            paired[fits[0]].append(caption)
        else:
            without.append(caption)
    return PairedCaptions(captions={f: tuple(paired[f]) for f in files if f in paired}, without_file=tuple(without))


def _ends_alike(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    shared = min(len(a), len(b))
    return a[-shared:] == b[-shared:]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(number from 1, bytes without a byte order mark) of each line, read no further than the limits."""
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                if number > MAX_LINES:
                    raise MeloError(f"{path}: more than {MAX_LINES:,} lines; split the file")
                if len(raw) > MAX_LINE:
                    raise MeloError(
                        f"{path}, line {number}: longer than {MAX_LINE >> 10} KiB; one caption a line is allowed"
                    )
                yield number, raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
    except OSError as error:
        raise MeloError(
            f"{path}: cannot read these captions: {(error.strerror or 'unknown reason').lower()}"
        ) from error


def _parsed(raw: bytes, where: str, number: int) -> WrittenCaption:
    try:
        data = parse_json(raw.strip(), what="caption", where=where)
    except MeloError as error:
        raise MeloError(f"{error.message.rpartition(';')[0]}; give {_EXAMPLE}") from error
    try:
        line = msgspec.convert(data, _Line, strict=True)
    except msgspec.ValidationError as error:
        raise MeloError(f'{where}: it must be an object with the texts "location" and "caption"') from error
    for name, text, most in (("location", line.location, MAX_LOCATION), ("caption", line.caption, MAX_CAPTION)):
        if not text.strip():
            raise MeloError(f"{where}: its {name} is empty")
        if len(text) > most:
            raise MeloError(f"{where}: its {name} has {len(text):,} characters; at most {most:,} are allowed")
    return WrittenCaption(line=number, location=line.location, text=line.caption)
