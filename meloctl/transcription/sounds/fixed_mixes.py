"""Mixes that are the same each time: to choose thresholds by (validation), and to measure by (test)."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from scipy import fft

from meloctl.transcription.notes import NoteTable, joined
from meloctl.transcription.sounds.mixes import Mix
from meloctl.transcription.sounds.room import drawn_room, transform_size
from meloctl.transcription.sounds.stem_library import STEM_RATE, STEM_SECONDS, StemLibrary

_WET_DB = -14.0
_LEVEL_DB = 2.0
"""Standard deviation between parts."""


def fixed_mixes(library: StemLibrary, parts: int, count: int, *, seconds: float = STEM_SECONDS) -> list[Mix]:
    """The first `count` mixes of so many parts: lines of one group by different instruments, every second mix in a light room.

    There are fewer where the library has no more; each group gives one mix before any gives a second.
    """
    mixes: list[Mix] = []
    for number, (group, stems) in enumerate(_choices(library, parts)):
        if len(mixes) == count:
            break
        mixes.append(_mix(library, stems, np.random.default_rng([group, number, parts]), seconds, len(mixes) % 2 == 1))
    return mixes


def _choices(library: StemLibrary, parts: int) -> Iterator[tuple[int, list[int]]]:
    """(group, stems) of each choice of lines: groups in turn, then the next choice of each."""
    choices = {group: list(_of_group(library, lines, parts)) for group, lines in sorted(library.groups.items())}
    for turn in range(max((len(own) for own in choices.values()), default=0)):
        for group, own in choices.items():
            if turn < len(own):
                yield group, own[turn]


def _of_group(library: StemLibrary, lines: dict[int, list[int]], parts: int) -> Iterator[list[int]]:
    """Stems that play different lines by different instruments, one choice for each set of lines and each first variant."""
    for variant in range(max(len(stems) for stems in lines.values())):
        for chosen in combinations(sorted(lines), parts):
            stems: list[int] = []
            for line in chosen:
                used = {library.places[stem].instrument for stem in stems}
                own = lines[line][variant:] + lines[line][:variant]
                stems += [stem for stem in own if library.places[stem].instrument not in used][:1]
            if len(stems) == parts:
                yield stems


def _mix(library: StemLibrary, stems: list[int], rng: np.random.Generator, seconds: float, in_room: bool) -> Mix:
    """The sum of stems at about one level."""
    count = round(seconds * STEM_RATE)
    samples, tables, names = np.zeros(count, np.float32), [], []
    for part, index in enumerate(stems):
        stem = library.read(index, 0.0, seconds)
        level = float(np.sqrt(np.square(stem.audio).mean())) or 1.0
        samples += stem.audio * np.float32(0.05 / level * 10 ** (rng.normal(0, _LEVEL_DB) / 20))
        tables.append(
            NoteTable.of(
                stem.notes.onset,
                np.minimum(stem.notes.offset, seconds),
                stem.notes.pitch,
                loudness=stem.notes.loudness,
                part=np.full(len(stem.notes), part),
            ).take(stem.notes.onset < seconds - 0.05)
        )
        names.append(stem.instrument)
    if in_room:
        size = transform_size(count)
        tail = drawn_room(rng, size, STEM_RATE).tail * np.float32(10 ** (_WET_DB / 20))
        samples = fft.irfft(fft.rfft(samples, size) * (1 + tail), size)[:count].astype(np.float32)
    return Mix(samples, joined(tables), len(stems), tuple(names))
