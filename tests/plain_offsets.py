"""Slow and obvious reference for the similarity of parts' pitch-class sets (pc-jaccard) at bar offsets: plain loops.

Files are read by plain_player.py. The other measures, families and peaks are in plain_evidence.py.

Usage: python tests/plain_offsets.py FILE_OR_FOLDER...
"""

import json
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from plain_player import play

MAX_OFFSET = 32

PartIndex = int
Cells = dict[int, dict[PartIndex, set[int]]]  # bar -> part -> pitch classes
Key = tuple[str, int]  # relation, offset


def file_cells(data: bytes) -> Cells:
    """Bar -> part -> pitch classes struck in it, without drums and without empty cells."""
    cells: Cells = {}
    for index, part in enumerate(play(data).parts):
        for note in () if part.is_drum else part.notes:
            cells.setdefault(note.bar, {}).setdefault(index, set()).add(note.pitch % 12)
    return cells


def count_pair(tally: dict[Key, dict[tuple[int, int], int]], key: Key, one: set[int], other: set[int]) -> None:
    """Count one pair under its (shared, joint) numbers of pitch classes."""
    sizes = (len(one & other), len(one | other))
    seen = tally.setdefault(key, {})
    seen[sizes] = seen.get(sizes, 0) + 1


def file_sums(path: str | Path) -> dict[Key, tuple[int, Fraction]]:
    """(relation, offset) -> (number of pairs, exact sum of their similarities), only where there are pairs."""
    cells = file_cells(Path(path).read_bytes())
    tally: dict[Key, dict[tuple[int, int], int]] = {}
    for bar, here in cells.items():
        parts = sorted(here)
        for i in range(len(parts)):
            for j in range(i + 1, len(parts)):
                count_pair(tally, ("cross", 0), here[parts[i]], here[parts[j]])
        for offset in range(1, MAX_OFFSET + 1):
            earlier = cells.get(bar - offset, {})
            for part, pitch_classes in here.items():
                for source, source_classes in earlier.items():
                    relation = "same" if part == source else "cross"
                    count_pair(tally, (relation, offset), pitch_classes, source_classes)
    sums: dict[Key, tuple[int, Fraction]] = {}
    for key, seen in tally.items():
        pairs = 0
        total = Fraction(0)
        for (shared, joint), times in seen.items():
            pairs += times
            total += times * Fraction(shared, joint)
        sums[key] = (pairs, total)
    return sums


def corpus_table(paths: Iterable[str | Path]) -> dict[Key, tuple[int, float, float]]:
    """(relation, offset) -> (pairs, mean over all pairs, mean of the means of the files that have pairs)."""
    pairs: dict[Key, int] = {}
    totals: dict[Key, Fraction] = {}
    file_means: dict[Key, list[Fraction]] = {}
    for path in paths:
        for key, (count, total) in file_sums(path).items():
            pairs[key] = pairs.get(key, 0) + count
            totals[key] = totals.get(key, Fraction(0)) + total
            file_means.setdefault(key, []).append(total / count)
    table: dict[Key, tuple[int, float, float]] = {}
    for key in sorted(pairs):
        piece_mean = sum(file_means[key], Fraction(0)) / len(file_means[key])
        table[key] = (pairs[key], float(totals[key] / pairs[key]), float(piece_mean))
    return table


def midi_files(names: Iterable[str]) -> list[Path]:
    """The named files, and for each named folder its *.mid and *.midi files at any depth."""
    files: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            files.extend(sorted([*path.rglob("*.mid"), *path.rglob("*.midi")]))
        else:
            files.append(path)
    return files


def main(arguments: list[str]) -> None:
    """Print the table of the named files and folders as one JSON list."""
    rows = []
    for (relation, offset), (pairs, mean, piece_mean) in corpus_table(midi_files(arguments)).items():
        row = {"relation": relation, "offset": offset, "pairs": pairs, "mean": mean, "piece_mean": piece_mean}
        rows.append(row)
    print(json.dumps(rows))


if __name__ == "__main__":
    main(sys.argv[1:])
