"""Time to quality: two versions of this program train on one corpus side by side, one thread each, for equal minutes.

    python benchmarks/quality.py FOLDER --before CHECKOUT [--minutes 5] [--seed 0] [--json]

CHECKOUT is a folder with another version of the source, as `git worktree add` makes one. Both versions measure the corpus, derive
a mask and train `tiny` with their defaults, at the same time and in a process each, so that other work on the machine slows both.
Printed are the bits a note of the best model of each, the wall time at which the new version passed what the old one reached, as
a share of the old one's, and the rows a second and peak memory of both.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


class Version:
    """One checkout, with a workspace of its own."""

    def __init__(self, source: Path, work: Path) -> None:
        self.source, self.work = source.resolve(), work
        if not (self.source / "meloctl").is_dir():
            raise SystemExit(f"error: {source}: no folder meloctl in it; give a checkout of this program")

    def run(self, *words: str) -> subprocess.Popen[str]:
        """Start a command of this version, on one thread."""
        environment = {**os.environ, "PYTHONPATH": str(self.source), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "meloctl", *words, "--work", str(self.work), "--json"]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=self.work)

    def trained(self, answer: str) -> dict[str, Any]:
        """What its training said, and its validation losses by time."""
        facts = json.loads(answer)
        with (Path(facts["path"]) / "metrics.csv").open() as file:
            curve = [(float(row["seconds"]), float(row["validation_bits_per_note"])) for row in csv.DictReader(file)]
        return {**facts, "curve": curve}


def finished(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """What each process printed, once all have ended."""
    answers = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"error: a command ended with status {max(process.returncode for process in processes)}")
    return answers


def passed(curve: Sequence[tuple[float, float]], bits: float) -> float | None:
    """Seconds at which a curve of (seconds, bits a note) comes down to `bits`, on the line between its points; None where it
    never does."""
    for (before, high), (after, low) in zip(curve, curve[1:], strict=False):
        if high > bits >= low:
            return before + (after - before) * (high - bits) / (high - low)
    return curve[0][0] if curve and curve[0][1] <= bits else None


def compared(folder: Path, before: Path, minutes: float, seed: int) -> dict[str, Any]:
    """Train both versions side by side."""
    with tempfile.TemporaryDirectory() as scratch:
        versions = []
        for name, source in (("before", before), ("now", ROOT)):
            work = Path(scratch) / name
            work.mkdir()
            versions.append(Version(source, work))
        finished([version.run("stats", str(folder.resolve())) for version in versions])
        finished([version.run("derive-mask") for version in versions])
        words = ("train", "--model", "tiny", "--minutes", f"{minutes:g}", "--seed", str(seed))
        answers = finished([version.run(*words) for version in versions])
        old, new = (version.trained(answer) for version, answer in zip(versions, answers, strict=True))
    aim = min(bits for _, bits in old["curve"])
    at_old, at_new = passed(old["curve"], aim), passed(new["curve"], aim)
    return {
        "corpus": folder.name,
        "minutes": minutes,
        "seed": seed,
        "bits_per_note": [old["bits_per_note"], new["bits_per_note"]],
        "fewer_bits": round(old["bits_per_note"] - new["bits_per_note"], 3),
        "time_to_old_bits": round(at_new / at_old, 3) if at_new and at_old else None,
        "steps": [old["steps"], new["steps"]],
        "rows_per_second": [old["rows_per_second"], new["rows_per_second"]],
        "peak_bytes": [old["peak_bytes"], new["peak_bytes"]],
        "seconds": [old["seconds"], new["seconds"]],
    }


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="MIDI files")
    parser.add_argument("--before", type=Path, required=True, metavar="CHECKOUT", help="source of the other version")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one object, for programs")
    args = parser.parse_args(argv)
    found = compared(args.folder, args.before, args.minutes, args.seed)
    if args.json:
        print(json.dumps(found))
        return
    print(f"{found['corpus']}, {args.minutes:g} minutes each, seed {args.seed}: before, now")
    for name in ("bits_per_note", "steps", "rows_per_second", "peak_bytes", "seconds"):
        old, new = found[name]
        print(f"  {name:18}{old:16,.2f}{new:16,.2f}")
    print(f"  {found['fewer_bits']:.2f} bits a note fewer in equal time")
    share = found["time_to_old_bits"]
    print(
        f"  the old version's best after {share:.2f} of its time"
        if share
        else "  the old version's best is not reached"
    )


if __name__ == "__main__":
    main()
