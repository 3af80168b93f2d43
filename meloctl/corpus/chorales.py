"""Bach's four-part chorales out of the installed music21 package, as MIDI files: a corpus that everybody has.

music21 is read at run time; none of its files is copied into this project.
"""

from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from analysis.atomic_write import atomic_write
from analysis.chunked_map import Workers, enough_workers, worker_executor
from analysis.corpus import group_of
from analysis.errors import MeloError
from analysis.midi_write import midi_bytes
from analysis.piece import Bars, Notes, Part, Piece

TICKS_PER_QUARTER = 480
CHOIR = ("Soprano", "Alto", "Tenor", "Bass")
"""The parts that are taken from a score with more than four."""

CHOIR_AAHS = 52
VELOCITY = 80
TEMPO = 80.0
"""Velocity and tempo of every chorale: the scores state neither."""


def chorale_paths() -> list[Path]:
    """Score files of Bach's works in music21's corpus. Raises MeloError where the package came without its corpus."""
    from music21 import corpus

    scores = sorted(Path(p) for p in corpus.getComposer("bach") if Path(p).suffix in (".krn", ".mxl", ".xml"))
    if not scores:
        raise MeloError("the installed music21 came without its corpus; pip install music21, or give a folder of MIDI")
    return sorted({p.stem: p for p in scores}.values())  # three works are there twice, as .krn and as .mxl


def write_chorales(folder: Path, *, paths: list[Path], on_file: Callable[[], None] = lambda: None) -> int:
    """Write every four-part score among `paths` as FOLDER/NAME.mid, each set of notes once; returns how many there were.

    A process a core parses; music21 takes nearly all of the time.

    Raises:
        MeloError: a process that parses was killed.
    """
    written: set[str] = set()
    with worker_executor(enough_workers(Workers(), len(paths))) as (executor, _):
        try:
            for path, made in zip(paths, executor.map(_group_and_midi, paths, chunksize=4), strict=True):
                if made is not None and made[0] not in written:
                    with atomic_write(folder / f"{path.stem}.mid") as partial:
                        partial.write_bytes(made[1])
                    written.add(made[0])
                on_file()
        except BrokenExecutor as error:
            raise MeloError("a process that reads scores was killed, perhaps for lack of memory; try again") from error
    return len(written)


def _group_and_midi(path: Path) -> tuple[str, bytes] | None:
    """In a worker: what tells a score's notes from others', and its MIDI file."""
    piece = read_chorale(path)
    return None if piece is None else (group_of(piece), midi_bytes(piece))


def read_chorale(path: Path) -> Piece | None:
    """One score as a piece of four choir parts; None when it has no four parts with notes, or no four of the choir.

    Bars are the score's own. A pickup keeps its short length; a bar that a repeat sign splits in two is made whole again.
    """
    from music21 import converter

    score: Any = converter.parse(path, forceSource=True, storePickle=False)
    parts = list(score.parts)
    if len(parts) > 4:
        parts = [p for p in parts if p.partName in CHOIR]
    voices = [_notes(part) for part in parts]
    if len(voices) != 4 or not all(voices):
        return None
    part = np.repeat(np.arange(4), [len(v) for v in voices])
    onset, duration, pitch = np.array([n for v in voices for n in v], dtype=np.int64).T
    return Piece(
        parts=tuple(Part(program=CHOIR_AAHS, is_drum=False, name=str(p.partName or "")) for p in parts),
        notes=Notes.of(onset, duration, pitch, np.full(len(part), VELOCITY), part),
        bars=Bars.of(_signatures(parts[0]), TICKS_PER_QUARTER),
        tempo_tick=np.zeros(1, dtype=np.int64),
        tempo=np.array([TEMPO]),
        end_tick=_ticks(score.highestTime),
    )


def _notes(part: Any) -> list[tuple[int, int, int]]:
    """(onset, duration, pitch) in ticks of every sounding note, ties joined, grace notes left out.

    Ties are joined here: music21's own way, stripTies, copies the whole part first, which takes longer than parsing it.
    """
    found: list[tuple[int, int, int]] = []
    for element in part.flatten().notes:
        onset, length = _ticks(element.offset), _ticks(element.quarterLength)
        for note in element if element.isChord else [element]:
            if not length:
                continue
            before, lasts, pitch = found[-1] if found else (0, 0, -1)
            tied = note.tie is not None and note.tie.type in ("stop", "continue")
            if tied and (before + lasts, pitch) == (onset, note.pitch.midi):
                found[-1] = (before, lasts + length, pitch)
            else:
                found.append((onset, length, int(note.pitch.midi)))
    return found


def _ticks(quarters: Any) -> int:
    return round(Fraction(quarters) * TICKS_PER_QUARTER)


def _signatures(part: Any) -> list[tuple[int, int, int]]:
    """(tick, numerator, denominator) where the signature, or the length of a bar, changes."""
    measures = list(part.getElementsByClass("Measure"))
    starts = [Fraction(m.offset) for m in measures]
    lengths = [b - a for a, b in zip(starts, starts[1:], strict=False)]
    nominal = [Fraction(m.barDuration.quarterLength) for m in measures]
    lengths.append(nominal[-1])
    bars: list[tuple[Fraction, Fraction, int]] = []  # start, length, denominator
    for measure, start, length, whole in zip(measures, starts, lengths, nominal, strict=True):
        signature = measure.timeSignature or measure.getContextByClass("TimeSignature")
        below = int(signature.denominator) if signature else 4
        if len(bars) > 1 and bars[-1][1] < whole and bars[-1][1] + length == whole:
            bars[-1] = (bars[-1][0], whole, below)
        elif length:
            bars.append((start, length, below))
    out: list[tuple[int, int, int]] = []
    for start, length, below in bars:
        denominator = next((d for d in (below, 8, 16, 32, 64) if (length * d / 4).denominator == 1), 64)
        signature = (int(length * denominator / 4), denominator)
        if not out or out[-1][1:] != signature:
            out.append((_ticks(start), *signature))
    return out
