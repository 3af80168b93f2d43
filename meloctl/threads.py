"""How many threads compute: measured on the work itself, since beside other programs fewer are often faster."""

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from analysis.cores import usable_cores
from analysis.errors import MeloError

_ROUNDS = 2
"""Turns of each number of threads in a trial, of two steps each: the first one after a change is slower."""

_SETTLED = 5
"""Steps after a trial whose time is compared with that of later ones."""

_DRIFT = 1.4
"""A new trial begins where steps take so many times longer, or shorter, than after the last trial, …"""

_JUMP = 2.0
"""… or at once so many times longer than in the trial itself, or shorter."""

_STEPS, _SECONDS = 100, 60.0
"""… and in any case after so many steps, if they took so long."""

_RECENT = 0.3
"""Weight of the last step in the mean of recent steps."""

_HOPELESS = 2.0
"""A number of threads that took so many times longer than the best one is not tried again until the time of steps drifts."""

_GAIN = 0.95
"""Another number of threads must take this share of the time, or less, to be chosen."""


def thread_limit(processes: int = 1) -> int:
    """Most threads of this process: the cores that it may use, shared by `processes`, and OMP_NUM_THREADS."""
    import torch  # which takes seconds, and options are checked without it

    return max(1, min(torch.get_num_threads(), usable_cores() // processes))


def check_threads(threads: int | None) -> None:
    """Raises MeloError where a number of threads is given that no machine can run."""
    most = os.cpu_count() or 1
    if threads is not None and not 1 <= threads <= most:
        raise MeloError(f"give a number of threads, 1 to {most}", field="threads", given=threads)


def thread_counts(limit: int) -> list[int]:
    """Numbers of threads to try, ascending: one, some and all."""
    return sorted({1, round(limit**0.5), max(1, limit // 2), limit})


DECODING_THREADS = 1
"""Threads that write music row by row, unless another number is given: the products of a row are too small to share."""


@contextmanager
def using_threads(count: int) -> Iterator[None]:
    """Compute with so many threads in the block, in this thread of the program; restored afterwards."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def new_tuner(threads: int | None) -> "ThreadTuner":
    """A tuner of this machine's numbers of threads, or of the one that is given."""
    return ThreadTuner(thread_counts(thread_limit()) if threads is None else [threads])


class ThreadTuner:
    """Chooses the number of threads for a loop of similar steps by the time of the steps themselves.

    Before a step the loop computes with `count` threads, after it the loop says how long it took. A trial takes the numbers in
    turns for a few steps. It is repeated when steps have become slower or faster, and now and then in any case; so nothing is
    computed for the measurement alone.

    Args:
        counts: numbers of threads, ascending; with one of them nothing is measured.
        best: which of them is taken for the first steps, before a trial; None: a trial comes first.
    """

    def __init__(self, counts: Sequence[int], *, best: int | None = None) -> None:
        self._counts = list(counts)
        self.best = best if best in self._counts else self._counts[-1]
        """The fastest number, as far as is known."""
        self._times: dict[int, float] = {}
        self._trial: dict[int, list[float]] = {}
        self._queue: list[int] = []
        self._steps, self._seconds, self._recent, self._settled = 0, 0.0, 0.0, 0.0
        if best is None:
            self._start_trial()

    @property
    def count(self) -> int:
        """Threads of the next step."""
        return self._queue[0] if self._queue else self.best

    @property
    def is_trying(self) -> bool:
        """Whether a trial is under way."""
        return bool(self._queue)

    def row_seconds(self, count: int) -> float | None:
        """Time of a row in the last trial of a number of threads; None before its first."""
        return self._times.get(count)

    @contextmanager
    def timed(self, rows: int) -> Iterator[None]:
        """Around a step of so many rows: it is computed with `count` threads, and its time is taken in."""
        began = time.monotonic()
        with using_threads(self.count):
            yield
        self.add_step(time.monotonic() - began, rows)

    def add_step(self, seconds: float, rows: int) -> bool:
        """Take in the time of a step that was computed with `count` threads. True where `best` has changed."""
        if len(self._counts) == 1:
            return False
        a_row = seconds / max(1, rows)
        if self._queue:
            self._trial.setdefault(self._queue.pop(0), []).append(a_row)
            return False if self._queue else self._decide()
        self._steps, self._seconds = self._steps + 1, self._seconds + seconds
        self._recent = a_row if self._steps == 1 else self._recent + _RECENT * (a_row - self._recent)
        if self._steps == _SETTLED:
            self._settled = self._recent
            if not 1 / _JUMP < self._recent / self._times.get(self.best, math.inf) < _JUMP:
                self._start_trial(anew=True)
        elif self._settled and not 1 / _DRIFT < self._recent / self._settled < _DRIFT:
            self._start_trial(anew=True)
        elif self._steps >= _STEPS and self._seconds >= _SECONDS:
            self._start_trial()
        return False

    def _start_trial(self, *, anew: bool = False) -> None:
        """Queue the steps of a trial. `anew`: what was too slow before may be the fastest now."""
        known = None if anew else self._times.get(self.best)
        tried = [c for c in self._counts if known is None or self._times.get(c, 0.0) <= _HOPELESS * known]
        self._steps, self._seconds = 0, 0.0
        if len(tried) > 1:
            self._queue, self._trial, self._settled = [c for c in tried for _ in range(2)] * _ROUNDS, {}, 0.0

    def _decide(self) -> bool:
        self._times |= {count: min(times) for count, times in self._trial.items()}
        before, fastest = self.best, min(self._times, key=self._times.__getitem__)
        if self._times[fastest] <= _GAIN * self._times[before]:
            self.best = fastest
        return self.best != before
