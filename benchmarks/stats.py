"""Measuring a corpus: ours beside bare parsing (the floor) and beside plain loops, in one run.

    python benchmarks/stats.py FOLDER [--json] [--memory]

One process, the same files, CPU time, each contestant several times in turns and its fastest turn taken (plain loops once: they
take minutes). `--memory` adds the peak memory of whole runs over 500 and over 20,000 files, copied and transposed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psutil  # noqa: E402
import symusic  # noqa: E402
from plain_offsets import corpus_table  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from analysis.chunked_map import Workers  # noqa: E402
from analysis.measure_corpus import MeasureChunk, measure_corpus  # noqa: E402
from analysis.midi import read_midi  # noqa: E402

TURNS = 5


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def side_by_side(paths: list[str]) -> dict[str, float]:
    """Pieces a second of each contestant."""
    one = MeasureChunk(measures=("pc-jaccard",), by_family=False)
    every = MeasureChunk()
    pieces = [read_midi(Path(path)) for path in paths]
    contestants: dict[str, Callable[[], object]] = {
        "floor": lambda: [symusic.Score(path) for path in paths],
        "pc_jaccard": lambda: one(0, paths, frozenset()),
        "all_measures": lambda: every(0, paths, frozenset()),
        "pc_jaccard_read": lambda: [one.measure_piece(piece, 0) for piece in pieces],
        "all_measures_read": lambda: [every.measure_piece(piece, 0) for piece in pieces],
    }
    with threadpool_limits(1):
        fastest = {name: min(cpu_seconds(work) for _ in range(1)) for name, work in contestants.items()}  # warm up
        for _ in range(TURNS):
            for name, work in contestants.items():
                fastest[name] = min(fastest[name], cpu_seconds(work))
        fastest["plain"] = cpu_seconds(lambda: corpus_table(paths))
    return {name: len(paths) / seconds for name, seconds in fastest.items()}


def copies(paths: list[str], folder: Path, n: int) -> list[str]:
    """`n` files: the given ones over and over, each round a semitone higher where their pitches allow it."""
    made = []
    for i in range(n):
        path = folder / f"{i:06d}.mid"
        score, up = symusic.Score(paths[i % len(paths)]), i // len(paths) % 12
        if all(int(track.notes.numpy()["pitch"].max(initial=0)) + up <= 127 for track in score.tracks):
            score = score.shift_pitch(up)
        score.dump_midi(path)
        made.append(str(path))
    return made


def two_processes(paths: list[str], folder: Path) -> float:
    """How many times as fast two more processes are as this one alone, starting them included; in turns, the fastest of each."""
    seconds = {0: float("inf"), 2: float("inf")}
    for turn in range(2):
        for n in seconds:
            start = time.perf_counter()
            measure_corpus(paths, MeasureChunk(), folder / f"{turn}-{n}", key="", workers=Workers(processes=n))
            seconds[n] = min(seconds[n], time.perf_counter() - start)
    return seconds[0] / seconds[2]


def peak_mb(files: Path, work: Path) -> float:
    """Peak memory of the largest process of a whole `meloctl stats`, workers too, in MiB, looked at 20 times a second."""
    command = [sys.executable, "-m", "meloctl", "stats", str(files), "--work", str(work)]
    most = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as run:
        main = psutil.Process(run.pid)
        while run.poll() is None:
            with suppress(psutil.Error):
                most = max(most, *(process.memory_info().rss for process in [main, *main.children(recursive=True)]))
            time.sleep(0.05)
    if run.returncode:
        raise RuntimeError(f"{command} ended with {run.returncode}")
    return most / (1 << 20)


def memory(paths: list[str], folder: Path) -> dict[str, float]:
    """Peak memory for 500 and for 20,000 files."""
    found = {}
    for n in (500, 20_000):
        files = folder / f"files{n}"
        files.mkdir()
        copies(paths, files, n)
        found[f"peak_mb_{n}"] = peak_mb(files, folder / f"work{n}")
    return {**found, "memory_ratio": found["peak_mb_20000"] / found["peak_mb_500"]}


def main() -> None:
    """Run the chosen benchmarks and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    paths = sorted(map(str, options.folder.rglob("*.mid")))
    if not paths:
        parser.error(f"{options.folder}: no .mid file in it")
    found = side_by_side(paths)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "many").mkdir()
        found["two_processes"] = two_processes(copies(paths, folder / "many", 4_000), folder)
        if options.memory:
            found |= memory(paths, folder)
    if options.json:
        print(json.dumps(found))
        return
    print(f"{len(paths)} files, pieces a second of CPU time:")
    for name in ("floor", "pc_jaccard", "all_measures", "pc_jaccard_read", "all_measures_read", "plain"):
        print(f"  {name:18s}{found[name]:10.1f}   {found['floor'] / found[name]:7.2f} × the floor's time")
    print(f"pc_jaccard is {found['pc_jaccard'] / found['plain']:.0f} times as fast as plain loops")
    print(f"two processes are {found['two_processes']:.2f} times as fast as one")
    if options.memory:
        print(f"peak memory {found['peak_mb_500']:.0f} MiB for 500 files, {found['peak_mb_20000']:.0f} for 20,000")


if __name__ == "__main__":
    main()
