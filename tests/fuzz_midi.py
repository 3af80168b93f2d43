"""Feed damaged MIDI files through reading, rows and back, and see that each is read or refused, quickly and in little memory.

    python tests/fuzz_midi.py --files 100000 --seed 0 --corpus FOLDER --processes 2
    python tests/fuzz_midi.py --seed 0 --corpus FOLDER --only 4711      one file again; it is written to the folder --keep

Each file is a pure function of the seed, its number and the files of the corpus. The files are read in child processes: a
crash or a hang ends the child, is reported with the number of its file, and the next child goes on after it. Exit status 1 on a
finding.
"""

import argparse
import importlib
import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fuzz_checks import attempt
from fuzz_mutations import mutated

HERE = Path(__file__).parent

START = 60.0
"""Seconds that a child may take until its first word, beyond those that it may be silent afterwards."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What determines every file, and what is done with it."""

    seed: int = 0
    corpus: tuple[str, ...] = ()
    """Folders of MIDI files to start from, beside the files made in code."""

    through: str = "fuzz_checks:through"
    """MODULE:FUNCTION that takes a file's bytes and returns what became of it, or raises."""

    silence: float = 60.0
    """Seconds without a word after which a child hangs."""

    def file(self, index: int, files: list[bytes]) -> bytes:
        return mutated(self.seed, index, files)

    def files(self) -> list[bytes]:
        paths = sorted(p for folder in self.corpus for p in Path(folder).rglob("*.mid"))
        return [p.read_bytes() for p in paths if p.stat().st_size <= 100_000]


@dataclass(kw_only=True)
class Summary:
    """What became of all files."""

    files: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Files by outcome: "read", or the reason, its numbers taken out."""

    slowest: tuple[float, int] = (0.0, -1)
    """Processor time in seconds, and the file's number."""

    largest: tuple[float, int] = (0.0, -1)
    """Peak memory in megabytes, and the file's number."""

    findings: list[tuple[int, str]] = field(default_factory=list)
    """Number of a file, and what is wrong with what became of it."""

    seconds: float = 0.0

    def add(self, index: int, outcome: str, finding: str, seconds: float, megabytes: float) -> None:
        self.files += 1
        self.outcomes[re.sub(r"[+-]?\d[\d,.]*", "N", outcome)] += 1
        self.slowest = max(self.slowest, (seconds, index))
        self.largest = max(self.largest, (megabytes, index))
        if finding:
            self.findings.append((index, finding))

    def __str__(self) -> str:
        lines = [f"{n:>8,}  {outcome}" for outcome, n in self.outcomes.most_common()]
        lines.append(f"{self.files:,} files in {self.seconds:,.0f} s")
        lines.append(f"slowest {self.slowest[0]:.2f} s (file {self.slowest[1]})")
        lines.append(f"largest {self.largest[0]:.0f} MB (file {self.largest[1]})")
        return "\n".join([*lines, f"{len(self.findings)} findings", *(f"file {i}: {w}" for i, w in self.findings)])


@dataclass(kw_only=True)
class _Worker:
    """One child, and the number of the file that it is at."""

    setting: Setting
    at: int
    stop: int
    step: int
    process: subprocess.Popen[bytes] = field(init=False)
    due: float = 0.0
    """The time at which it counts as hanging, unless it answers before."""

    rest: bytes = b""
    """A record that has not come whole yet."""

    def start(self) -> None:
        arguments = json.dumps([asdict(self.setting), self.at, self.stop, self.step])
        command = [sys.executable, str(HERE / "fuzz_midi.py"), "--child", arguments]
        places = {**os.environ, "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE}"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=places)
        self.due, self.rest = time.monotonic() + self.setting.silence + START, b""

    def read_answers(self, summary: Summary) -> bool:
        """Take down what has come since; False at the child's end."""
        block = os.read(self.process.stdout.fileno(), 1 << 16)
        *lines, self.rest = (self.rest + block).split(b"\n")
        self.due = time.monotonic() + self.setting.silence
        for line in lines:
            summary.add(self.at, *json.loads(line))
            self.at += self.step
        return bool(block)

    def end(self, summary: Summary) -> None:
        """Take down the file at which the child died, if it had not read all of them."""
        self.process.stdout.close()
        status = self.process.wait()
        if self.at >= self.stop:
            return
        if status == 1:  # what a file may raise is caught
            raise RuntimeError(f"the reader {self.setting.through} does not start")
        hung = time.monotonic() > self.due
        what = f"no answer for {self.setting.silence:g} seconds" if hung else f"the reader died with status {status}"
        summary.add(self.at, what, what, 0.0, 0.0)
        self.at += self.step


def fuzz(
    setting: Setting,
    count: int,
    *,
    first: int = 0,
    processes: int = 1,
    on_news: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Read files first to first + count - 1; `on_news` is called a few times a second with what is known so far."""
    start, summary, stop = time.monotonic(), Summary(), first + count
    workers = [_Worker(setting=setting, at=first + i, stop=stop, step=processes) for i in range(min(processes, count))]
    with selectors.DefaultSelector() as selector:
        for worker in workers:
            worker.start()
            selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
        while selector.get_map():
            on_news(summary)
            ready = {key.fd for key, _ in selector.select(timeout=0.2)}
            for key in list(selector.get_map().values()):
                worker: _Worker = key.data
                if key.fd in ready and worker.read_answers(summary):
                    continue
                if key.fd not in ready:
                    if time.monotonic() <= worker.due:
                        continue
                    worker.process.kill()
                selector.unregister(key.fileobj)
                worker.end(summary)
                if worker.at < stop:
                    worker.start()
                    selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
    summary.seconds = time.monotonic() - start
    return summary


def keep(setting: Setting, indices: list[int], folder: Path) -> list[Path]:
    """Write files by their numbers."""
    files = setting.files() if indices else []
    paths = [folder / f"seed{setting.seed}-{index}.mid" for index in indices]
    for path, index in zip(paths, indices, strict=True):
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(setting.file(index, files))
    return paths


def _child(setting: Setting, first: int, stop: int, step: int) -> None:
    """Read files first, first + step, … and print one record a line."""
    module, _, name = setting.through.partition(":")
    check, files = getattr(importlib.import_module(module), name), setting.files()
    for index in range(first, stop, step):
        print(json.dumps(attempt(check, setting.file(index, files))), flush=True)


def _progress(count: int) -> Callable[[Summary], None]:
    """Print how far it is, every ten seconds, to stderr."""
    start = last = time.monotonic()

    def report_progress(summary: Summary) -> None:
        nonlocal last
        if time.monotonic() - last > 10:
            last = time.monotonic()
            left = (last - start) * (count - summary.files) / max(summary.files, 1)
            print(f"{summary.files:,} of {count:,}, {left:,.0f} s left", file=sys.stderr, flush=True)

    return report_progress


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", action="append", default=[], help="folder of MIDI files to start from; repeatable")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--only", type=int, help="read this one file, and write it to the folder --keep")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"), help="folder for files with a finding")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        arguments, first, stop, step = json.loads(options.child)
        _child(Setting(**arguments), first, stop, step)
        return 0
    setting = Setting(seed=options.seed, corpus=tuple(options.corpus))
    first, count = (options.first, options.files) if options.only is None else (options.only, 1)
    summary = fuzz(setting, count, first=first, processes=options.processes, on_news=_progress(count))
    kept = keep(setting, [first] if options.only is not None else [i for i, _ in summary.findings], options.keep)
    print(json.dumps({**vars(summary), "kept": [str(p) for p in kept]}) if options.json else summary)
    if kept and not options.json:
        print(f"{len(kept)} files written to {options.keep}")
    return 1 if summary.findings else 0


if __name__ == "__main__":
    sys.exit(main())
