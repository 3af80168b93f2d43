"""Works on several recordings at once, a process each; a work that ends its process ends no other."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from analysis.chunked_map import follow_parent
from analysis.errors import MeloError

Work = Callable[[Callable[[float], None]], object]
"""Is called in a worker with what takes so many more seconds of sound that are done; must pickle. May raise MeloError."""

_POLL_S = 0.2

_progress: Any = []
"""In a worker: seconds done of each work, shared with the parent."""


def run_works(
    works: Sequence[Work], jobs: int, on_seconds: Callable[[int, float], None]
) -> Iterator[tuple[int, MeloError | None]]:
    """Run works in `jobs` processes and yield (index, its error) of each as it ends, with one thread a process.

    A work during which a process dies is tried once more, alone; if it dies again, that is its error. Where the caller is
    interrupted the processes are ended.

    Args:
        works: what to do.
        jobs: processes, 1 or more.
        on_seconds: called now and then with the index of a work and how many seconds of it are done.

    Raises:
        Exception: what a work raises that is no MeloError.
    """
    context = multiprocessing.get_context(
        "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    )
    seconds = context.RawArray("d", len(works))
    queue, suspects = deque(range(len(works))), deque[int]()
    while queue or suspects:
        alone = not queue
        source = deque([suspects.popleft()]) if alone else queue
        running: dict[Future[MeloError | None], int] = {}
        try:
            with _pool(context, 1 if alone else jobs, seconds) as pool:
                while source or running:
                    while source and len(running) < (1 if alone else jobs):
                        index = source.popleft()
                        running[pool.submit(_run, index, works[index])] = index
                    done, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                    for index in running.values():
                        on_seconds(index, seconds[index])
                    for future in done:
                        error = future.result()
                        yield running.pop(future), error
        except BrokenProcessPool:
            if alone:
                yield running.popitem()[1], MeloError("its process ended: too little memory, or a damaged file")
            else:
                suspects.extend(running.values())


@contextmanager
def _pool(context: Any, jobs: int, seconds: Any) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker, initargs=(seconds,))
    try:
        yield pool
    except BaseException:  # Ctrl-C among them: what is running is not waited for
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _start_worker(seconds: Any) -> None:
    global _progress
    follow_parent()
    os.environ["OMP_NUM_THREADS"] = "1"  # read by torch when it is imported
    _progress = seconds


def _run(index: int, work: Work) -> MeloError | None:
    """In a worker: the error of a work, None where it was done."""
    from threadpoolctl import threadpool_limits

    def add(seconds: float) -> None:
        _progress[index] += seconds

    _progress[index] = 0.0
    try:
        with threadpool_limits(1):
            work(add)
    except MeloError as error:
        return error
    return None
