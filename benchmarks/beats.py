"""Beats and downbeats of performances beside the annotated ones: ours, librosa's, and partitura's where it is installed.

    python benchmarks/beats.py FOLDER [--only ours librosa partitura]

FOLDER holds NAME.mid and NAME.beats.txt as ASAP has them: a line a beat, second, second, label (`db`: downbeat). F by mir_eval at
70 ms, the first 5 seconds left out as its convention is (`mir_eval.beat.trim_beats`). librosa gets the onset strength of the
notes at 100 frames a second (the sum of velocities that begin), which sound would only blur. Prints a line a file, and for each
method median, mean with its 95 % bootstrap interval over files, and quartiles.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import mir_eval
import numpy as np

from analysis.arrays import Bools, Floats
from analysis.intervals import mean_estimates
from analysis.midi import read_midi
from analysis.piece import Piece
from meloctl.beats.track_beats import track_beats
from meloctl.formatting import text_table, with_interval

Found = tuple[Floats, Floats]
"""(B,) seconds of beats, and (D,) of downbeats; none where a method finds no downbeats."""

_FRAMES_A_SECOND = 100


def annotated(path: Path) -> Found:
    """The beats and downbeats of an annotation."""
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    times = np.array([float(line[0]) for line in lines])
    opens: Bools = np.array([line[2].startswith("db") for line in lines])
    return times, times[opens]


def ours(piece: Piece) -> Found:
    """Beats of meloctl."""
    notes = piece.notes
    onset, offset = (piece.seconds_at(t) for t in (notes.onset_tick, notes.onset_tick + notes.duration_tick))
    beats = track_beats(onset, offset, notes.pitch, notes.velocity)
    return (np.zeros(0), np.zeros(0)) if beats is None else (beats.times_s, beats.times_s[beats.downbeat])


def by_librosa(piece: Piece) -> Found:
    """Beats of librosa.beat.beat_track, which finds no downbeats."""
    import librosa

    onset = piece.seconds_at(piece.notes.onset_tick)
    strength = np.bincount((onset * _FRAMES_A_SECOND).astype(int), weights=piece.notes.velocity)
    _, beats = librosa.beat.beat_track(
        onset_envelope=strength.astype(np.float32), sr=_FRAMES_A_SECOND, hop_length=1, units="time"
    )
    return beats, np.zeros(0)


def by_partitura(piece: Piece) -> Found:
    """Beats of partitura.musicanalysis.estimate_time, which counts the beats of a bar; the first beat is taken for a downbeat."""
    from partitura.musicanalysis import estimate_time

    notes = piece.notes
    onset, offset = (piece.seconds_at(t) for t in (notes.onset_tick, notes.onset_tick + notes.duration_tick))
    kind = [("onset_sec", "f4"), ("duration_sec", "f4"), ("pitch", "i4"), ("velocity", "i4"), ("id", "U32")]
    rows = zip(onset, offset - onset, notes.pitch, notes.velocity, (f"n{i}" for i in range(len(onset))), strict=True)
    found = estimate_time(np.array(list(rows), dtype=kind))
    beats = np.array([second for second, _ in found["beats"]])  # with their salience
    return beats, beats[:: max(int(found["meter_numerator"]), 1)]


METHODS: dict[str, Callable[[Piece], Found]] = {"ours": ours, "librosa": by_librosa, "partitura": by_partitura}


def f_measure(true: Floats, found: Floats) -> float:
    """mir_eval's F at 70 ms without the first 5 seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no beats at all are said as a warning
        return float(mir_eval.beat.f_measure(*(mir_eval.beat.trim_beats(np.sort(t)) for t in (true, found))))


def spread(values: Floats) -> list[str]:
    """Median, mean with its interval, and quartiles, as cells."""
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    mean = mean_estimates(values[:, None], np.random.default_rng(0))[0]
    return [f"{median:.3f}", with_interval(mean.value, (mean.low, mean.high)), f"{low:.3f}", f"{high:.3f}"]


def main() -> None:
    """Measure every method on every file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", choices=METHODS, default=list(METHODS))
    options = parser.parse_args()
    paths = sorted(options.folder.glob("*.beats.txt"))
    rows = []
    for path in paths:
        name = path.name.removesuffix(".beats.txt")
        piece, true = read_midi(path.with_name(name + ".mid")), annotated(path)
        scores = []
        for method in options.only:
            start = time.process_time()
            found = METHODS[method](piece)
            spent = time.process_time() - start
            scores.append([*(f_measure(t, f) for t, f in zip(true, found, strict=True)), spent])
        rows.append(scores)
        print(
            name,
            *(f"{m} {b:.2f} {d:.2f} ({s:.1f} s)" for m, (b, d, s) in zip(options.only, scores, strict=True)),
            flush=True,
        )
    table = np.array(rows)
    lines = [["method", "what", "median F", "mean F", "lower quartile", "upper quartile"]]
    for i, method in enumerate(options.only):
        lines += [[method, what, *spread(table[:, i, k])] for k, what in enumerate(("beats", "downbeats"))]
    print("\n".join(text_table(lines)))


if __name__ == "__main__":
    main()
