"""Bach's four-part chorales out of the installed music21 package, as MIDI files: a corpus that everybody has.

Its scores are read where they lie; none is copied into this project, and music21's own code does not run.
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from analysis.corpus import group_of
from analysis.errors import MeloError
from analysis.midi_write import write_midi
from analysis.piece import Bars, Notes, Part, Piece
from meloctl.corpus.musicxml import ScoreMeasure, ScorePart, read_score

TICKS_PER_QUARTER = 480
CHOIR = ("Soprano", "Alto", "Tenor", "Bass")
"""The parts that are taken from a score with more than four."""

CHOIR_AAHS = 52
VELOCITY = 80
TEMPO = 80.0
"""Velocity and tempo of every chorale: the scores state neither."""


def chorale_paths() -> list[Path]:
    """Score files of Bach's works in music21's corpus. Raises MeloError where the package came without its corpus."""
    package = find_spec("music21")
    folders = package.submodule_search_locations if package else None
    scores = [path for folder in folders or [] for path in Path(folder, "corpus", "bach").iterdir()]
    scores = sorted(path for path in scores if path.suffix in (".mxl", ".xml"))
    if not scores:
        raise MeloError("the installed music21 came without its corpus; pip install music21, or give a folder of MIDI")
    return scores


def write_chorales(folder: Path, *, paths: list[Path], on_file: Callable[[], None] = lambda: None) -> int:
    """Write every four-part score among `paths` as FOLDER/NAME.mid, each set of notes once; returns how many there were."""
    written: set[str] = set()
    for path in paths:
        piece = read_chorale(path)
        if piece is not None and group_of(piece) not in written:
            write_midi(piece, folder / f"{path.stem}.mid")
            written.add(group_of(piece))
        on_file()
    return len(written)


def read_chorale(path: Path) -> Piece | None:
    """One score as a piece of four choir parts; None when it has no four parts with notes, or no four of the choir.

    Bars are the score's own. A pickup keeps its short length; a bar that a repeat sign splits in two is made whole again.
    """
    score = parts = read_score(path, ticks_per_quarter=TICKS_PER_QUARTER)
    if len(parts) > 4:
        parts = [p for p in parts if p.name in CHOIR]
    voices = [_notes(part) for part in parts]
    if len(voices) != 4 or not all(voices):
        return None
    part = np.repeat(np.arange(4), [len(v) for v in voices])
    onset, duration, pitch = np.array([n for v in voices for n in v], dtype=np.int64).T
    return Piece(
        parts=tuple(Part(program=CHOIR_AAHS, is_drum=False, name=p.name) for p in parts),
        notes=Notes.of(onset, duration, pitch, np.full(len(part), VELOCITY), part),
        bars=Bars.of(_signatures(parts[0].measures), TICKS_PER_QUARTER),
        tempo_tick=np.zeros(1, dtype=np.int64),
        tempo=np.array([TEMPO]),
        end_tick=max(sum(measure.length for measure in part.measures) for part in score),
    )


def _notes(part: ScorePart) -> list[tuple[int, int, int]]:
    """(onset, duration, pitch) in ticks of every sounding note, ties joined."""
    found: list[tuple[int, int, int]] = []
    start = 0
    for measure in part.measures:
        for note in measure.notes:
            onset, length, pitch = found[-1] if found else (0, 0, -1)
            if note.tied and (onset + length, pitch) == (start + note.onset, note.pitch):
                found[-1] = (onset, length + note.duration, pitch)
            else:
                found.append((start + note.onset, note.duration, note.pitch))
        start += measure.length
    return found


def _signatures(measures: list[ScoreMeasure]) -> list[tuple[int, int, int]]:
    """(tick, numerator, denominator) where the signature, or the length of a bar, changes."""
    lengths = [*(measure.length for measure in measures[:-1]), measures[-1].nominal]
    denominators = [4, *(measure.denominator for measure in measures[:-1])]
    bars: list[tuple[int, int, int]] = []  # start, length, denominator
    start = 0
    for measure, length, below in zip(measures, lengths, denominators, strict=True):
        if len(bars) > 1 and bars[-1][1] < measure.nominal and bars[-1][1] + length == measure.nominal:
            bars[-1] = (bars[-1][0], measure.nominal, below)
        elif length:
            bars.append((start, length, below))
        start += length
    out: list[tuple[int, int, int]] = []
    for start, length, below in bars:
        quarters4 = 4 * TICKS_PER_QUARTER
        denominator = next((d for d in (below, 8, 16, 32, 64) if length * d % quarters4 == 0), 64)
        signature = (length * denominator // quarters4, denominator)
        if not out or out[-1][1:] != signature:
            out.append((start, *signature))
    return out
