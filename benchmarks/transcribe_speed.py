"""CPU seconds a minute of sound, and peak memory, of meloctl's transcription and others, one thread each, on the same files.

    python benchmarks/transcribe_speed.py --basic-pitch ENVIRONMENT/bin/python --timbreamt CHECKOUT [--memory]

Three files of 2.6 minutes (the five quartets of BACH10, $MELOCTL_DATA/bach10, one after the other in three orders, 44,100 Hz
mono WAV), in turns, three rounds, after a first one that is not counted. Counted is all that a user waits for once a program
runs: reading the file, resampling, the network, notes, parts (4, given) and writing MIDI (meloctl draws its picture, too);
basic-pitch knows no parts. Importing is not counted. Ratios are of the same file in the same round.

--memory: the largest resident memory of a process that transcribes one file: meloctl 6 and 60 minutes (a song, repeated),
basic-pitch 8 minutes. timbreAMT runs in torch or, faster, by its published ONNX file. How to make the two environments:
benchmarks/transcribe.py.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import numpy as np  # noqa: E402
import soundfile  # noqa: E402
import soxr  # noqa: E402
from transcribe import Worker, new_worker  # noqa: E402
from transcribe_mixes import RATE, bach10_mixes  # noqa: E402

PARTS = 4
FILES = 3
FILE_RATE = 44_100
SYSTEMS = "meloctl,basic-pitch,timbreamt,timbreamt-onnx"
LONG_FILES = (("meloctl", 6), ("meloctl", 60), ("basic-pitch", 8))


def songs(folder: Path) -> list[Path]:
    """The quartets of BACH10, one after the other, as WAV files in `folder`, which begin with another one each."""
    stem = Path(os.environ["MELOCTL_DATA"]) / "bach10"
    pieces = [mix.samples for mix in bach10_mixes(stem) if mix.parts == PARTS]
    paths = []
    for turn in range(FILES):
        paths.append(folder / f"song-{turn}.wav")
        sound = soxr.resample(np.concatenate(pieces[turn:] + pieces[:turn]), RATE, FILE_RATE)
        soundfile.write(paths[-1], sound, FILE_RATE, subtype="PCM_16")
    return paths


def speed(files: list[Path], workers: Mapping[str, Worker], rounds: int, folder: Path) -> None:
    """Prints CPU seconds a minute of each system and its ratio to the first."""
    used: dict[str, list[float]] = {system: [] for system in workers}
    for worker in workers.values():
        worker.transcribe(files[0], PARTS, folder / "first.mid")
    for turn in range(rounds):
        for path in files:
            minutes = soundfile.info(path).duration / 60
            for system, worker in workers.items():
                answer = worker.transcribe(path, PARTS, folder / f"{system}.mid")
                used[system].append(answer["cpu_s"] / minutes)
        print(f"round {turn + 1} of {rounds}", file=sys.stderr)
    print(
        "| system | CPU s a minute: median | lowest, highest | ratio to the first: median | lowest, highest |\n|"
        + "---|" * 5
    )
    first = np.array(next(iter(used.values())))
    for system, seconds in used.items():
        ratio = np.array(seconds) / first
        spread = f"{min(seconds):.2f}, {max(seconds):.2f}"
        print(
            f"| {system} | {np.median(seconds):.2f} | {spread} | {np.median(ratio):.1f} | {ratio.min():.1f}, {ratio.max():.1f} |"
        )


def memory(files: list[Path], options: argparse.Namespace, folder: Path) -> None:
    """Prints the peak memory of one long file in a process of its own."""
    song = soundfile.read(files[0], dtype="int16")[0]
    for system, minutes in LONG_FILES:
        if system not in options.systems:
            continue
        path = folder / f"{minutes}-minutes.wav"
        with soundfile.SoundFile(path, "w", FILE_RATE, 1, "PCM_16") as file:
            left = minutes * 60 * FILE_RATE
            while left > 0:
                file.write(song[:left])
                left -= len(song)
        worker = new_worker(system, options)
        answer = worker.transcribe(path, PARTS, folder / "long.mid")
        worker.close()
        path.unlink()
        print(
            f"{system}, {minutes} minutes: peak {answer['peak_mib']:.0f} MiB, {answer['cpu_s']:.1f} s of CPU time",
            flush=True,
        )


def main() -> None:
    """Speed of all systems in turns; with --memory peak memory as well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", default=SYSTEMS, help=f"ratios are to the first (default: {SYSTEMS})")
    parser.add_argument("--model", metavar="FOLDER", help="meloctl's weights (default: those that come with it)")
    parser.add_argument("--basic-pitch", metavar="PYTHON", help="an interpreter with basic-pitch installed")
    parser.add_argument("--timbreamt", metavar="CHECKOUT", help="a folder with timbreAMT's repository")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="peak memory of long files too")
    options = parser.parse_args()
    options.systems = options.systems.split(",")
    with tempfile.TemporaryDirectory() as name:
        files = songs(Path(name))
        workers = {system: new_worker(system, options) for system in options.systems}
        speed(files, workers, options.rounds, Path(name))
        for worker in workers.values():
            worker.close()
        if options.memory:
            memory(files, options, Path(name))


if __name__ == "__main__":
    main()
