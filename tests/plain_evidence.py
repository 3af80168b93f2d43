"""Slow and obvious reference for the four measures of similarity: by offset, by families of instruments, and peaks.

Sums are exact Fractions; only pc-cosine, whose values are not rational, is in floats. One call does it all:

    tables = corpus_tables(paths)
    tables["offsets"][measure, relation, offset]                     {"pairs", "sum", "squares", "mean", "pieces",
                                                                      "piece_mean"}
    tables["families"][measure, relation, offset, later, earlier]    {"pairs", "sum", "mean"}
    tables["peaks"][measure, relation, offset]                       {"pieces", "mean", "sd"}

Usage: python tests/plain_evidence.py FILE_OR_FOLDER...        (prints the three tables as JSON)
"""

import json
import math
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from plain_bars import Region
from plain_offsets import MAX_OFFSET, midi_files
from plain_player import Playing, play

MEASURES = ("pc-jaccard", "note-jaccard", "pc-cosine", "onset-jaccard")
STEPS = 12  # grid steps in a quarter
DRUM_FAMILY = 16  # after General MIDI's families 0..15, of eight programs each


class Part(NamedTuple):
    index: int
    is_drum: bool
    program: int


Value = Fraction | float
CellNote = tuple[int, int, int]  # onset in ticks after the first whole tick of the bar, duration in ticks, pitch
Cells = dict[int, dict[Part, list[CellNote]]]  # bar -> part -> its notes
Features = dict[int, dict[Part, Any]]  # bar -> part -> what the measure compares
OffsetKey = tuple[str, str, int]  # measure, relation, offset
FamilyKey = tuple[
    str, str, int, int, int
]  # measure, relation, offset, family of the later bar's part, of the earlier's
Sums = tuple[int, Value, Value]  # pairs, sum of similarities, sum of their squares
Row = dict[str, Any]
Tables = dict[str, dict[Any, Row]]


# Cells and what each measure compares of them


def piece_cells(playing: Playing) -> Cells:
    """The cells of a file that are not empty, drums too."""
    cells: Cells = {}
    for index, part in enumerate(playing.parts):
        key = Part(index, part.is_drum, part.program)
        for note in part.notes:
            onset = note.onset - bar_first_tick(note.bar, playing.signatures, playing.file.ticks_per_quarter)
            cells.setdefault(note.bar, {}).setdefault(key, []).append((onset, note.end - note.onset, note.pitch))
    return cells


def bar_first_tick(bar: int, regions: list[Region], ticks_per_quarter: int) -> int:
    """The first whole tick of a bar."""
    region = [r for r in regions if r.first_bar <= bar][-1]
    bar_ticks = Fraction(4 * ticks_per_quarter * region.numerator, region.denominator)
    return region.tick + math.ceil((bar - region.first_bar) * bar_ticks)


def step(ticks: int, ticks_per_beat: int) -> int:
    """The nearest grid step, halves up."""
    return math.floor(Fraction(ticks * STEPS, ticks_per_beat) + Fraction(1, 2))


def pitch_classes(notes: list[CellNote]) -> set[int]:
    return {pitch % 12 for _, _, pitch in notes}


def grid_notes(notes: list[CellNote], ticks_per_beat: int) -> set[tuple[int, int, int]]:
    """(pitch, onset step, duration of at least one step) of each note."""
    return {
        (pitch, step(onset, ticks_per_beat), max(1, step(duration, ticks_per_beat))) for onset, duration, pitch in notes
    }


def onset_steps(notes: list[CellNote], ticks_per_beat: int) -> set[int]:
    return {step(onset, ticks_per_beat) for onset, _, _ in notes}


def class_ticks(notes: list[CellNote]) -> list[int]:
    """Ticks that each of the 12 pitch classes sounds; a note of no length counts one tick."""
    ticks = [0] * 12
    for _, duration, pitch in notes:
        ticks[pitch % 12] += max(1, duration)
    return ticks


def cell_features(measure: str, cells: Cells, ticks_per_beat: int) -> Features:
    """What the measure compares, once for each cell; drums stay for onset-jaccard alone."""
    features: Features = {}
    for bar, parts in cells.items():
        for part, notes in parts.items():
            if part.is_drum and measure != "onset-jaccard":
                continue
            feature: Any
            if measure == "pc-jaccard":
                feature = pitch_classes(notes)
            elif measure == "note-jaccard":
                feature = grid_notes(notes, ticks_per_beat)
            elif measure == "pc-cosine":
                feature = class_ticks(notes)
            elif measure == "onset-jaccard":
                feature = onset_steps(notes, ticks_per_beat)
            else:
                raise ValueError(f"no measure {measure!r}")
            features.setdefault(bar, {})[part] = feature
    return features


# One pair. It is counted under two whole numbers, which give its similarity exactly: equal pairs are then summed at once


def compare_sets(one: set[Any], other: set[Any]) -> tuple[int, int]:
    """Sizes of what is shared and of what is joint."""
    return len(one & other), len(one | other)


def compare_ticks(one: list[int], other: list[int]) -> tuple[int, int]:
    """The dot product, and the product of the two squared lengths."""
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return dot, sum(a * a for a in one) * sum(b * b for b in other)


def jaccard(shared: int, joint: int) -> Fraction:
    return Fraction(shared, joint)


def cosine(dot: int, squares: int) -> float:
    return dot / math.sqrt(squares)


def total(values: Iterable[Value]) -> Value:
    """The exact sum of Fractions, or the correctly rounded sum of floats."""
    values = list(values)
    if any(isinstance(value, float) for value in values):
        return math.fsum(values)
    return sum(values, Fraction(0))


# One piece


def family(part: Part) -> int:
    return DRUM_FAMILY if part.is_drum else part.program // 8


def tally_pairs(
    features: Features, compare: Callable[[Any, Any], tuple[int, int]]
) -> dict[tuple[str, int, int, int], dict[tuple[int, int], int]]:
    """(relation, offset, later family, earlier family) -> the two numbers of a pair -> how many pairs have them.

    At offset 0 neither bar is later: each two parts count once, the smaller family first.
    """
    tally: dict[tuple[str, int, int, int], dict[tuple[int, int], int]] = {}

    def count(key: tuple[str, int, int, int], numbers: tuple[int, int]) -> None:
        seen = tally.setdefault(key, {})
        seen[numbers] = seen.get(numbers, 0) + 1

    for bar, here in features.items():
        for part in here:
            for other in here:
                if part < other:
                    low, high = sorted([family(part), family(other)])
                    count(("cross", 0, low, high), compare(here[part], here[other]))
        for offset in range(1, MAX_OFFSET + 1):
            earlier = features.get(bar - offset, {})
            for part in here:
                for source in earlier:
                    relation = "same" if part == source else "cross"
                    key = (relation, offset, family(part), family(source))
                    count(key, compare(here[part], earlier[source]))
    return tally


def family_sums(path: str | Path) -> dict[FamilyKey, Sums]:
    """(measure, relation, offset, later family, earlier family) -> (pairs, sum, sum of squares) of one file."""
    playing = play(Path(path).read_bytes())
    cells = piece_cells(playing)
    sums: dict[FamilyKey, Sums] = {}
    for measure in MEASURES:
        compare: Callable[[Any, Any], tuple[int, int]] = compare_sets
        value_of: Callable[[int, int], Value] = jaccard
        if measure == "pc-cosine":
            compare, value_of = compare_ticks, cosine
        features = cell_features(measure, cells, playing.file.ticks_per_quarter)
        for key, seen in tally_pairs(features, compare).items():
            values = [(value_of(*numbers), times) for numbers, times in seen.items()]
            pairs = sum(times for _, times in values)
            squares = total(times * value * value for value, times in values)
            sums[measure, *key] = (pairs, total(times * value for value, times in values), squares)
    return sums


def offset_sums(by_family: dict[FamilyKey, Sums]) -> dict[OffsetKey, Sums]:
    """(measure, relation, offset) -> (pairs, sum, sum of squares), all families together."""
    grouped: dict[OffsetKey, list[Sums]] = {}
    for (measure, relation, offset, _, _), sums in by_family.items():
        grouped.setdefault((measure, relation, offset), []).append(sums)
    return {key: add(sums) for key, sums in grouped.items()}


def add(many: list[Sums]) -> Sums:
    return sum(pairs for pairs, _, _ in many), total(s for _, s, _ in many), total(q for _, _, q in many)


def piece_peaks(by_offset: dict[OffsetKey, Sums]) -> dict[OffsetKey, Value]:
    """(measure, relation, k) -> how far the mean at k stands above the middle of its neighbours', k = 2..31.

    Only where the piece has pairs at k - 1, k and k + 1, so not at the last offset.
    """
    mean = {key: sums / pairs for key, (pairs, sums, _) in by_offset.items()}
    peaks: dict[OffsetKey, Value] = {}
    for measure, relation, k in mean:
        before, after = (measure, relation, k - 1), (measure, relation, k + 1)
        if k >= 2 and before in mean and after in mean:
            peaks[measure, relation, k] = mean[measure, relation, k] - (mean[before] + mean[after]) / 2
    return peaks


# All pieces


def offset_row(pieces: list[Sums]) -> Row:
    pairs, sums, squares = add(pieces)
    piece_means = [piece_sum / piece_pairs for piece_pairs, piece_sum, _ in pieces]
    return {
        "pairs": pairs,
        "sum": sums,
        "squares": squares,
        "mean": sums / pairs,
        "pieces": len(pieces),
        "piece_mean": total(piece_means) / len(pieces),
    }


def family_row(pieces: list[Sums]) -> Row:
    pairs, sums, _ = add(pieces)
    return {"pairs": pairs, "sum": sums, "mean": sums / pairs}


def peak_row(peaks: list[Value]) -> Row:
    """The standard deviation is that of a sample (n - 1); None of one piece."""
    mean = total(peaks) / len(peaks)
    sd = None
    if len(peaks) > 1:
        sd = math.sqrt(total((peak - mean) ** 2 for peak in peaks) / (len(peaks) - 1))
    return {"pieces": len(peaks), "mean": mean, "sd": sd}


def corpus_tables(paths: Iterable[str | Path]) -> Tables:
    """The three tables of the module's first lines, keys in order, only where there are pairs (peaks: pieces)."""
    offsets: dict[OffsetKey, list[Sums]] = {}
    families: dict[FamilyKey, list[Sums]] = {}
    peaks: dict[OffsetKey, list[Value]] = {}
    for path in paths:
        by_family = family_sums(path)
        by_offset = offset_sums(by_family)
        for family_key, sums in by_family.items():
            families.setdefault(family_key, []).append(sums)
        for offset_key, sums in by_offset.items():
            offsets.setdefault(offset_key, []).append(sums)
        for offset_key, peak in piece_peaks(by_offset).items():
            peaks.setdefault(offset_key, []).append(peak)
    return {
        "offsets": {key: offset_row(offsets[key]) for key in sorted(offsets)},
        "families": {key: family_row(families[key]) for key in sorted(families)},
        "peaks": {key: peak_row(peaks[key]) for key in sorted(peaks)},
    }


def json_tables(tables: Tables) -> dict[str, list[Row]]:
    """The tables as lists of flat rows, Fractions as floats."""
    names = ("measure", "relation", "offset", "later_family", "earlier_family")
    lists: dict[str, list[Row]] = {}
    for name, table in tables.items():
        lists[name] = []
        for key, row in table.items():
            flat: Row = dict(zip(names, key, strict=False))
            for column, value in row.items():
                flat[column] = float(value) if isinstance(value, Fraction) else value
            lists[name].append(flat)
    return lists


if __name__ == "__main__":
    print(json.dumps(json_tables(corpus_tables(midi_files(sys.argv[1:])))))
