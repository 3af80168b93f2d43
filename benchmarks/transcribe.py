"""How well meloctl and others transcribe mixes whose notes are known: notes, notes by part, and the number of parts.

    python benchmarks/transcribe.py RESULTS.json --systems meloctl --stems STEMS
    python benchmarks/transcribe.py RESULTS.json --systems basic-pitch,timbreamt,timbreamt-searched \\
        --stems STEMS --basic-pitch ENVIRONMENT/bin/python --timbreamt CHECKOUT
    python benchmarks/transcribe.py RESULTS.json --sets bach10 --quick           (one piece of BACH10)

It needs the extra: pip install -e '.[dev]'. BACH10's stems and notes are read from $MELOCTL_DATA/bach10; the set is for
measuring alone: no threshold, no choice and no training of meloctl comes from it. STEMS is a stem library as training builds
it, of which the test split is used. Each mix is transcribed twice, with the number of parts K given and without. What was found
is kept in RESULTS.json, a mix at a time, under the system's name and version, so that a run that was stopped goes on where it
was, and other versions keep their rows. What each column counts: benchmarks/transcribe_scores.py; [low, high] is the 95 %
interval of a bootstrap over mixes.

For basic-pitch make an environment of its own: `pip install --no-deps basic-pitch==0.4.0`, then onnxruntime, librosa, resampy,
mir_eval, pretty_midi, scipy, scikit-learn and setuptools<81. timbreAMT runs from a checkout.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import numpy as np  # noqa: E402
import soundfile  # noqa: E402
from transcribe_mixes import RATE, MeasuredMix, bach10_mixes, synthetic_mixes  # noqa: E402
from transcribe_scores import interval, note_f, parts_f  # noqa: E402

from analysis.atomic_write import atomic_write_text  # noqa: E402

WITHOUT_PARTS = ("basic-pitch",)
COLUMNS = (
    ("notes", "notes"),
    ("offsets", "with offsets"),
    ("given pooled", "parts, K given: pooled"),
    ("given mean", "mean of parts"),
    ("found pooled", "K found: pooled"),
    ("found mean", "mean of parts"),
    ("error", "mean abs(K found − K)"),
    ("right", "K right"),
)


class Worker:
    """A process that transcribes with one system (see transcribe_worker.py)."""

    def __init__(self, system: str, python: str, folder: str) -> None:
        script = Path(__file__).parent / "transcribe_worker.py"
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"}
        self._process = subprocess.Popen(
            [python, str(script), system, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.identity: str = self._answer()["identity"]

    def transcribe(self, audio: Path, parts: int | None, midi: Path | None = None) -> dict[str, Any]:
        """{"notes": [[onset s, offset s, pitch, part], …], "cpu_s": …, "peak_mib": …}."""
        assert self._process.stdin
        request = {"audio": str(audio), "parts": parts, "midi": str(midi) if midi else None}
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the worker ended with status {self._process.wait()}")
        return json.loads(line)


def new_worker(system: str, options: argparse.Namespace) -> Worker:
    """The process of a system, run by the interpreter and from the folder that the options name."""
    python = options.basic_pitch if system in ("basic-pitch", "timbreamt-onnx") else sys.executable
    folder = options.timbreamt if system.startswith("timbreamt") else (options.model or "")
    if python is None or folder is None:
        raise SystemExit(f"{system} wants --basic-pitch PYTHON or --timbreamt CHECKOUT: see --help")
    return Worker(system, python, folder)


def mixes(options: argparse.Namespace) -> Iterator[MeasuredMix]:
    """All that is measured."""
    if "bach10" in options.sets:
        yield from bach10_mixes(Path(os.environ["MELOCTL_DATA"]) / "bach10", options.quick)
    if "synthetic" in options.sets:
        yield from synthetic_mixes(options.stems or sys.exit("--stems FOLDER is missing"), options.quick)


def run(system: str, options: argparse.Namespace, kept: dict[str, Any]) -> str:
    """Transcribes what is not yet in `kept` and returns the system's identity."""
    worker = new_worker(system, options)
    done = kept.setdefault(worker.identity, {})
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder) / "mix.wav"
        for mix in mixes(options):
            if mix.name in done:
                continue
            soundfile.write(audio, mix.samples, RATE, subtype="PCM_16")
            given = worker.transcribe(audio, mix.parts)
            found = None if system in WITHOUT_PARTS else worker.transcribe(audio, None)
            done[mix.name] = {"given": _rounded(given["notes"]), "found": found and _rounded(found["notes"])}
            atomic_write_text(options.results, json.dumps(kept))
            print(f"{worker.identity}: {mix.name}: {given['cpu_s']:.2f} s", file=sys.stderr)
    worker.close()
    return worker.identity


def _rounded(notes: list[list[float]]) -> list[list[float]]:
    return [[round(onset, 4), round(offset, 4), pitch, part] for onset, offset, pitch, part in notes]


def scores(mix: MeasuredMix, kept: dict[str, Any]) -> dict[str, float]:
    """{column: score of one mix}, without those for which the system has no answer."""
    given = np.array(kept["given"], dtype=float).reshape(-1, 4)
    row = {"notes": note_f(mix.notes, given), "offsets": note_f(mix.notes, given, offsets=True)}
    if kept["found"] is None:
        return row
    found = np.array(kept["found"], dtype=float).reshape(-1, 4)
    with_k, without = parts_f(mix.notes, given), parts_f(mix.notes, found)
    row |= {
        "given pooled": with_k.pooled,
        "given mean": with_k.mean,
        "found pooled": without.pooled,
        "found mean": without.mean,
    }
    error = abs(len(np.unique(found[:, 3])) - mix.parts)
    return row | {"error": error, "right": float(error == 0)}


def table(identities: list[str], kept: dict[str, Any], options: argparse.Namespace) -> str:
    """The rows of all systems, by collection and number of parts, and over all numbers of parts for K."""
    found: dict[tuple[str, str], dict[str, list[dict[str, float]]]] = {}
    for mix in mixes(options):
        for identity in identities:
            row = scores(mix, kept[identity][mix.name])
            for parts in (str(mix.parts), "all"):
                found.setdefault((mix.collection, parts), {}).setdefault(identity, []).append(row)
    lines = [
        "| set | K | mixes | system | " + " | ".join(title for _, title in COLUMNS) + " |",
        "|---" * (4 + len(COLUMNS)) + "|",
    ]
    for (collection, parts), systems in sorted(found.items()):
        for identity, rows in systems.items():
            cells = [_cell([row[key] for row in rows if key in row]) for key, _ in COLUMNS]
            lines.append(f"| {collection} | {parts} | {len(rows)} | {identity} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if not values:
        return "–"
    mean, low, high = (f"{value:.3f}".removeprefix("0") for value in interval(values))
    return f"{mean} [{low}, {high}]"


def main() -> None:
    """Runs what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument(
        "--systems", default="meloctl", help="comma-separated: meloctl, basic-pitch, timbreamt, timbreamt-searched"
    )
    parser.add_argument("--sets", default="bach10,synthetic", help="comma-separated: bach10, synthetic")
    parser.add_argument(
        "--stems", type=Path, metavar="FOLDER", help="a stem library; its test split makes the synthetic mixes"
    )
    parser.add_argument("--model", metavar="FOLDER", help="meloctl's weights (default: those that come with it)")
    parser.add_argument("--basic-pitch", metavar="PYTHON", help="an interpreter with basic-pitch installed")
    parser.add_argument("--timbreamt", metavar="CHECKOUT", help="a folder with timbreAMT's repository")
    parser.add_argument("--quick", action="store_true", help="one piece of BACH10 and eight synthetic mixes")
    options = parser.parse_args()
    options.sets = options.sets.split(",")
    kept = json.loads(options.results.read_text()) if options.results.exists() else {}
    print(table([run(system, options, kept) for system in options.systems.split(",")], kept, options))


if __name__ == "__main__":
    main()
