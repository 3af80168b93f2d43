"""A run of `meloctl stats`: what is said while nothing is measured yet, and what workers find ready."""

import subprocess
import sys
import time

from analysis.chunked_map import Workers
from analysis.measure_corpus import MeasureChunk, measure_corpus
from meloctl import progress
from meloctl.progress import SilentReporter, compiling, word_on_compiling


class Lines(SilentReporter):
    def __init__(self):
        self.lines, self.files = [], 0

    def advance(self, steps=1, *, status=""):
        self.files += steps

    def message(self, text):
        self.lines.append(text)


def test_a_slow_start_is_explained(monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", 0.0)
    reporter = Lines()
    with word_on_compiling(reporter, "this") as advance:
        while not reporter.lines:
            time.sleep(0.001)
        advance(3)
    assert (reporter.lines, reporter.files) == ([compiling("this")], 3)


def test_nothing_is_said_once_files_are_measured(monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", 60.0)
    reporter = Lines()
    with word_on_compiling(reporter, "this") as advance:
        advance(2)
        advance(1)
    assert (reporter.lines, reporter.files) == ([], 3)


def test_workers_start_with_everything_loaded():
    code = (
        "import sys, analysis.warm_up\n"
        "from analysis import cell_loops, pair_loops\n"
        "print(pair_loops.sum_pairs.signatures and cell_loops.different_sets.signatures and 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_workers_measure_what_this_process_measures(real, tmp_path):
    paths = [str(p) for p in real("band")[::20]]
    tables = [
        measure_corpus(paths, MeasureChunk(), tmp_path / str(n), key="test", workers=Workers(processes=n)).table
        for n in (0, 2)
    ]
    assert tables[0] == tables[1]
