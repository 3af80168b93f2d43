"""Maps a function over the files of a corpus in chunks: on several processes, on a Dask cluster, killed and resumed.

The files are cut into the same chunks whoever works on them. Each finished chunk is one file of results, whole or absent; what
was finished before a run was killed is not done again. A file on which a worker dies is found, and handed over as such.
"""

import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import re
import shutil
import signal
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from analysis.arrays import Ints
from analysis.atomic_write import atomic_write, atomic_write_text
from analysis.cores import usable_cores
from analysis.errors import MeloError
from analysis.json_spec import read_json

_ADDRESS = re.compile(r"(?:(?:tcp|tls|ws|wss|ucx)://)?[^\s:/]+:\d{1,5}")
_KEY = "chunks.json"
_MOST_CHUNK = 256


@dataclass(frozen=True, kw_only=True)
class ChunkResult:
    """What a task gives for one chunk."""

    arrays: dict[str, Ints]
    facts: Any
    """Anything that JSON can hold."""


class ChunkTask(Protocol):
    """Work on a chunk of files; sent to other processes, so it must pickle."""

    def __call__(self, first: int, paths: Sequence[str], died: frozenset[int]) -> ChunkResult:
        """Work on files number `first`, `first` + 1, … of the corpus; a worker died on those in `died`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Workers:
    """Who works."""

    processes: int | None = None
    """How many; None is one a core, fewer for few files; 0 works in this process, which a file that kills its reader kills."""

    cluster: str | None = None
    """Address of a Dask scheduler; its workers must see the files under the same paths."""


def chunk_size(n_files: int) -> int:
    """Files in a chunk: a hundredth of the corpus, 8 to 256."""
    return min(max(n_files // 100, 8), _MOST_CHUNK)


def map_chunks(
    task: ChunkTask,
    paths: Sequence[str],
    folder: Path,
    *,
    key: str,
    workers: Workers,
    on_files: Callable[[int], None],
    preload: str | None = None,
) -> list[Path]:
    """Run a task on every chunk of a corpus and return the files of the results, in order.

    Args:
        folder: where they are kept. Results of another key are thrown away, those of this one are not made again.
        key: changes whenever the task or the files do.
        on_files: called with how many more files are done.
        preload: a module that is imported once, in the process from which workers are forked.
    """
    if preload and "forkserver" in multiprocessing.get_all_start_methods():
        multiprocessing.set_forkserver_preload([preload])
    size = chunk_size(len(paths))
    starts = range(0, len(paths), size)
    results = [folder / f"{i:07d}.safetensors" for i in range(len(starts))]
    _claim(folder, key, size)
    missing = []
    for i, start in enumerate(starts):
        if results[i].is_file():
            on_files(min(size, len(paths) - start))
        else:
            missing.append(i)
    chunks = ((i, starts[i], paths[starts[i] : starts[i] + size]) for i in missing)
    for i, result, n in _work(task, chunks, enough_workers(workers, len(paths))):
        _write(results[i], result)
        on_files(n)
    return results


def read_chunk(path: Path) -> ChunkResult:
    """A chunk's result. Raises MeloError when the file is damaged."""
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            record = json.loads(file.metadata()["record"])
        if _checksum(arrays, record["facts"]) != record["sum"]:
            raise ValueError("other numbers than were written")
        return ChunkResult(arrays=arrays, facts=json.loads(record["facts"]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise MeloError(f"{path}: damaged; delete {path.parent} and run again") from error


def forget_chunks(folder: Path) -> None:
    """Delete the results that were needed only to be able to resume."""
    shutil.rmtree(folder, ignore_errors=True)


def _write(path: Path, result: ChunkResult) -> None:
    facts = json.dumps(result.facts)
    sum_and_facts = {"sum": _checksum(result.arrays, facts), "facts": facts}
    record = json.dumps(sum_and_facts)  # several entries would come in any order
    with atomic_write(path) as partial:
        save_file(result.arrays, partial, metadata={"record": record})


def _checksum(arrays: dict[str, Ints], facts: str) -> int:
    """CRC-32 of the numbers and the facts: against a damaged disk, not against an enemy."""
    total = zlib.crc32(facts.encode())
    for name in sorted(arrays):
        total = zlib.crc32(f"{name} {arrays[name].shape}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(arrays[name]).data, total)
    return total


def _claim(folder: Path, key: str, size: int) -> None:
    """Make the folder ours: throw away results of another key."""
    mine = {"key": hashlib.sha256(key.encode()).hexdigest(), "files_in_a_chunk": size}
    note = folder / _KEY
    if note.is_file():
        try:
            if read_json(note, what="note on chunks") == mine:
                return
        except MeloError:
            pass  # a damaged note is no claim
    shutil.rmtree(folder, ignore_errors=True)
    atomic_write_text(note, json.dumps(mine) + "\n")


def enough_workers(workers: Workers, n_files: int) -> Workers:
    """The same workers, with a number of processes for so many files where they say none."""
    if workers.cluster or workers.processes is not None:
        return workers
    return Workers(processes=min(usable_cores(), max(n_files // 16, 1)))


Chunk = tuple[int, int, Sequence[str]]


def _work(task: ChunkTask, chunks: Iterator[Chunk], workers: Workers) -> Iterator[tuple[int, ChunkResult, int]]:
    """(number, result, files) of each chunk, as they are finished."""
    if workers.processes == 0:
        for i, first, paths in chunks:
            yield i, _run(task, first, paths, frozenset()), len(paths)
        return
    died: list[Chunk] = []
    more = True
    while more:
        with worker_executor(workers) as (executor, at_once):
            running: dict[Future[ChunkResult], Chunk] = {}
            try:
                for chunk in chunks:
                    running[_submit(executor, task, chunk)] = chunk
                    if len(running) >= at_once:
                        yield from _finished(running)
                while running:
                    yield from _finished(running)
                more = False
            except _WorkerDiedError as one:
                died += [one.chunk, *(chunk for chunk in running.values())]
    for i, first, paths in died:
        yield i, _one_by_one(task, first, paths, workers), len(paths)


class _WorkerDiedError(Exception):
    """A worker ended without an answer."""

    def __init__(self, chunk: Chunk) -> None:
        super().__init__()
        self.chunk = chunk


def _submit(executor: Executor, task: ChunkTask, chunk: Chunk) -> "Future[ChunkResult]":
    try:
        return executor.submit(_run, task, chunk[1], chunk[2], frozenset())
    except BrokenExecutor as error:  # a worker died since the last look
        raise _WorkerDiedError(chunk) from error


def _finished(running: dict["Future[ChunkResult]", Chunk]) -> Iterator[tuple[int, ChunkResult, int]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        chunk = running.pop(future)
        try:
            yield chunk[0], future.result(), len(chunk[2])
        except Exception as error:
            if _is_death(error):
                raise _WorkerDiedError(chunk) from error
            raise


def _one_by_one(task: ChunkTask, first: int, paths: Sequence[str], workers: Workers) -> ChunkResult:
    """The result of a chunk during which a worker died, be it this chunk's fault or its neighbour's."""
    alone = Workers(processes=1 if not workers.cluster else None, cluster=workers.cluster)
    died: set[int] = set()
    left = list(range(first, first + len(paths)))
    while left:
        with worker_executor(alone) as (executor, _):
            try:
                while left:
                    path = paths[left[0] - first]
                    executor.submit(_run, task, left[0], [path], frozenset()).result()
                    left.pop(0)
            except Exception as error:
                if not _is_death(error):
                    raise
                died.add(left.pop(0))
    with worker_executor(alone) as (executor, _):
        return executor.submit(_run, task, first, paths, frozenset(died)).result()


def _is_death(error: Exception) -> bool:
    return isinstance(error, BrokenExecutor) or type(error).__name__ == "KilledWorker"


def _run(task: ChunkTask, first: int, paths: Sequence[str], died: frozenset[int]) -> ChunkResult:
    """In a worker: the matrices are small, so one thread each is fastest."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return task(first, paths, died)


@contextmanager
def worker_executor(workers: Workers) -> Iterator[tuple[Executor, int]]:
    """An executor on these workers, and how many tasks to give it at once."""
    if workers.cluster:
        with _dask(workers.cluster) as client:
            yield client.get_executor(), 2 * max(len(client.ncores()), 1)
        return
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    n = workers.processes or 1
    pool = ProcessPoolExecutor(n, mp_context=context, initializer=follow_parent)
    try:
        yield pool, 2 * n
    except BaseException:  # Ctrl-C among them: what is running is not waited for
        for process in multiprocessing.active_children():
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


@contextmanager
def _dask(address: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise MeloError("--cluster needs Dask: pip install 'meloctl[cluster]'") from error
    if not _ADDRESS.fullmatch(address):
        raise MeloError(f"--cluster {address}: not an address; give that of a Dask scheduler, as tcp://HOST:8786")
    try:
        connect: Any = Client
        client = connect(address, timeout=5, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise MeloError(
            f"--cluster {address}: no Dask scheduler answers there; give its address, as tcp://HOST:8786"
        ) from error
    with client:
        yield client


def follow_parent() -> None:
    """In a worker: end when the parent does, however it ends (a pool's workers would wait for ever); leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent:
            multiprocessing.connection.wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
