"""Slow and obvious reference for the similarity of parts' pitch-class sets (pc-jaccard) at bar offsets: mido and loops.

The other measures, families and peaks are in plain_evidence.py, which reads files with what is here.

Usage: python tests/plain_offsets.py FILE_OR_FOLDER...
"""

import json
import math
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import mido

DRUM_CHANNEL = 9
MAX_OFFSET = 32

Part = tuple[int, int, int]  # track number, channel, program
Note = tuple[Part, int, int, int]  # part, onset tick, duration in ticks, pitch
Region = tuple[int, int, int, int]  # start tick, number of its first bar, numerator, denominator
Cells = dict[int, dict[Part, set[int]]]  # bar -> part -> pitch classes
Key = tuple[str, int]  # relation, offset


def track_notes(track: mido.MidiTrack, track_number: int) -> list[Note]:
    """The notes of one track, drums too. A note-off ends the oldest sounding note of its channel and pitch.

    A note that nothing ends is left out.
    """
    notes: list[Note] = []
    programs: dict[int, int] = {}
    sounding: dict[tuple[int, int], list[tuple[Part, int]]] = {}
    tick = 0
    for message in track:
        tick += message.time
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on" and message.velocity > 0:
            part = (track_number, message.channel, programs.get(message.channel, 0))
            sounding.setdefault((message.channel, message.note), []).append((part, tick))
        elif message.type in ("note_on", "note_off"):
            waiting = sounding.get((message.channel, message.note), [])
            if waiting:
                part, onset = waiting.pop(0)
                notes.append((part, onset, tick - onset, message.note))
    return notes


def all_notes(midi: mido.MidiFile) -> list[Note]:
    """The notes of every track, drums too."""
    notes: list[Note] = []
    for track_number, track in enumerate(midi.tracks):
        notes.extend(track_notes(track, track_number))
    return notes


def signatures(midi: mido.MidiFile) -> dict[int, tuple[int, int]]:
    """Tick -> (numerator, denominator); at one tick the last event in track order wins.

    4/4 from tick 0 unless an event stands there. A numerator of 0 gives no bar length and is ignored.
    """
    found: dict[int, tuple[int, int]] = {0: (4, 4)}
    for track in midi.tracks:
        tick = 0
        for message in track:
            tick += message.time
            if message.type == "time_signature" and message.numerator > 0:
                found[tick] = (message.numerator, message.denominator)
    return found


def bar_regions(midi: mido.MidiFile) -> list[Region]:
    """One region per time signature, in order of tick; a bar cut short by the next region counts as a bar."""
    regions: list[Region] = []
    found = signatures(midi)
    for tick in sorted(found):
        first_bar = 0
        if regions:
            start, previous_first, numerator, denominator = regions[-1]
            bar_ticks = Fraction(4 * midi.ticks_per_beat * numerator, denominator)
            bars = (tick - start) // bar_ticks
            if bars * bar_ticks != tick - start:
                bars += 1
            first_bar = previous_first + bars
        regions.append((tick, first_bar, found[tick][0], found[tick][1]))
    return regions


def bar_of(tick: int, regions: list[Region], ticks_per_beat: int) -> int:
    """The number of the bar that holds a tick, from the last region that starts at or before it."""
    for start, first_bar, numerator, denominator in reversed(regions):
        if start <= tick:
            return first_bar + (tick - start) * denominator // (4 * ticks_per_beat * numerator)
    raise ValueError(f"no bar holds tick {tick}")


def bar_first_tick(tick: int, regions: list[Region], ticks_per_beat: int) -> int:
    """The first whole tick of the bar that holds a tick: its exact start, rounded up."""
    for start, _, numerator, denominator in reversed(regions):
        if start <= tick:
            bar_ticks = Fraction(4 * ticks_per_beat * numerator, denominator)
            return start + math.ceil((tick - start) // bar_ticks * bar_ticks)
    raise ValueError(f"no bar holds tick {tick}")


def file_cells(midi: mido.MidiFile) -> Cells:
    """Bar -> part -> pitch classes struck in it, without drums and without empty cells."""
    regions = bar_regions(midi)
    cells: Cells = {}
    for part, tick, _, pitch in all_notes(midi):
        if part[1] == DRUM_CHANNEL:
            continue
        bar = bar_of(tick, regions, midi.ticks_per_beat)
        cells.setdefault(bar, {}).setdefault(part, set()).add(pitch % 12)
    return cells


def count_pair(tally: dict[Key, dict[tuple[int, int], int]], key: Key, one: set[int], other: set[int]) -> None:
    """Count one pair under its (shared, joint) numbers of pitch classes."""
    sizes = (len(one & other), len(one | other))
    seen = tally.setdefault(key, {})
    seen[sizes] = seen.get(sizes, 0) + 1


def file_sums(path: str | Path) -> dict[Key, tuple[int, Fraction]]:
    """(relation, offset) -> (number of pairs, exact sum of their similarities), only where there are pairs."""
    cells = file_cells(mido.MidiFile(path))
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
