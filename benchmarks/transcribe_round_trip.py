"""Pieces of a known form, played by a soundfont and transcribed: are the periods found again, and do the bars lie right?

    python benchmarks/transcribe_round_trip.py FOLDER --font FONT.sf2

Twenty pieces of `meloctl corpus compose` (four parts: drums, bass, chords, lead; form AABA), ten of which repeat after 4 bars
and ten after 8, are rendered by FluidSynth with a font on which the weights were not trained, and go through `meloctl
transcribe` and `meloctl stats`. A piece's bars are right if each of its bar lines but the first and the last has a transcribed
one within 70 ms and none stands between them. Periods are those of pitch classes of a part beside itself (`pc-jaccard`,
`same`), over all ten pieces and for each piece alone. What is in FOLDER already is not made again, so it can be stopped;
another FONT needs another FOLDER.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import numpy.typing as npt  # noqa: E402

from analysis.midi import read_midi  # noqa: E402

PERIODS = (4, 8)
PIECES = 10
SEED = 5
NEAR = 0.07
"""Seconds between a bar line and its transcription: mir_eval's window for beats."""


def bars_agree(played: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> bool:
    """Whether the inner bar lines were found: (B,) seconds of those played and (C,) of those found, both rising."""
    inner = played[1:-1]
    between = found[(found > inner[0] - NEAR) & (found < inner[-1] + NEAR)]
    return len(between) == len(inner) and bool((np.abs(between - inner) < NEAR).all())


def bar_lines(path: Path) -> npt.NDArray[np.float64]:
    """(B,) seconds at which the bars of a MIDI file start, and the last one's end."""
    piece = read_midi(path)
    return piece.seconds_at(piece.bars.start_tick(range(piece.n_bars + 1)))


def line_f(played: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float:
    """F of the bar lines found within 70 ms."""
    import mir_eval

    return mir_eval.beat.f_measure(played, found, f_measure_threshold=NEAR)


def meloctl(*arguments: str | Path) -> str:
    """What a command prints."""
    command = [sys.executable, "-m", "meloctl", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def period(folder: Path, work: Path) -> int | None:
    """The period in bars that `meloctl stats` finds in a folder, in each part beside itself."""
    return json.loads(meloctl("stats", folder, "--work", work, "--json"))["periods"]["pc-jaccard"]["same"]


def transcribed(composed: Path, folder: Path, font: Path, model: Path | None) -> Path:
    """The MIDI file that comes back from a composed one, by way of sound."""
    sound = folder / "sound" / f"{composed.stem}.wav"
    midi = folder / "transcribed" / f"{composed.stem}.mid"
    for path in (sound, midi):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not sound.exists():
        begun = sound.with_suffix(".begun.wav")
        command = ["fluidsynth", "-ni", "-q", "-r", "44100", "-F", begun, font, composed]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        begun.rename(sound)
    if not midi.exists():
        chosen = ("--model", model) if model else ()
        meloctl("transcribe", sound, "--out", midi, "--work", folder.parent / "work", *chosen)
    return midi


def alone(path: Path) -> Path:
    """A folder with this file and no other."""
    folder = path.parent.parent / "alone" / path.stem
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / path.name).exists():
        (folder / path.name).hardlink_to(path)
    return folder


def main() -> None:
    """A line for each piece, and the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--font", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="folder of weights (default: those that come with meloctl)")
    parser.add_argument("--quick", action="store_true", help="two pieces of each period")
    options = parser.parse_args()
    right, each, pieces = 0, 0, 2 if options.quick else PIECES
    work = options.folder.resolve() / "work"
    for planted in PERIODS:
        folder = options.folder.resolve() / f"period-{planted}"
        meloctl("corpus", "compose", folder / "composed", "--pieces", pieces, "--phrase", planted, "--seed", SEED)
        files = sorted((folder / "composed").glob("*.mid"))
        for composed in files:
            midi = transcribed(composed, folder, options.font.resolve(), options.model and options.model.resolve())
            played, found = bar_lines(composed), bar_lines(midi)
            agree, own = bars_agree(played, found), period(alone(midi), work)
            right, each = right + agree, each + (own == planted)
            f = line_f(played, found)
            print(
                f"period {planted}, {composed.stem}: bars {'right' if agree else 'wrong'} (F {f:.2f}), period {own}",
                flush=True,
            )
        before, after = period(folder / "composed", work), period(folder / "transcribed", work)
        print(
            f"planted {planted}, {len(files)} pieces: period {before} in the MIDI, {after} in the transcription",
            flush=True,
        )
    count = pieces * len(PERIODS)
    print(f"bars right in {right} of {count}; the planted period found in {each} of {count} pieces alone")


if __name__ == "__main__":
    main()
