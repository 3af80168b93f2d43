"""The map over chunks: the same bits whoever works, killed and resumed, and a file that kills its reader costs only itself."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from conftest import note, smf, wait_until

from analysis.chunked_map import ChunkResult, Workers, chunk_size, forget_chunks, map_chunks, read_chunk
from analysis.errors import MeloError
from analysis.measure_corpus import CRASHED, MeasureChunk, measure_corpus
from analysis.significance import evidence_of
from analysis.table_files import write_tables


@dataclass(frozen=True, kw_only=True)
class Count:
    """A task for tests: the length of each file's name; on a name with `die` in it the worker ends."""

    log: str = ""
    go: str = ""
    """A file that a name with `slowly` waits for."""

    def __call__(self, first: int, paths: Sequence[str], died: frozenset[int]) -> ChunkResult:
        for number, path in enumerate(paths, first):
            if "die" in path and number not in died:
                if "slowly" in path:
                    wait_until(Path(self.go).exists)
                os._exit(9)
        if self.log:
            with Path(self.log).open("a") as log:
                log.write(f"{first}\n")
        return ChunkResult(
            arrays={"length": np.array([len(p) for p in paths])},
            facts={"paths": list(paths), "died": sorted(died)},
        )


def names(n, **other):
    return [other.get(f"n{i}", "x" * (i % 7 + 1)) for i in range(n)]


def run(task, paths, folder, *, key="k", processes=0, on_files=lambda _: None, cluster=None):
    workers = Workers(processes=None if cluster else processes, cluster=cluster)
    return map_chunks(task, paths, folder, key=key, workers=workers, on_files=on_files)


def test_chunks_are_a_hundredth_of_the_corpus_within_bounds():
    assert [chunk_size(n) for n in (1, 800, 2_000, 1_000_000)] == [8, 8, 20, 256]


def test_every_file_once_and_in_order(tmp_path):
    done = []
    results = [read_chunk(p) for p in run(Count(), names(21), tmp_path / "c", on_files=done.append)]
    assert [p for r in results for p in r.facts["paths"]] == names(21)
    assert np.concatenate([r.arrays["length"] for r in results]).tolist() == [len(n) for n in names(21)]
    assert done == [8, 8, 5]


def test_what_is_done_is_not_done_again_unless_the_key_changes(tmp_path):
    task = Count(log=str(tmp_path / "log"))
    first = run(task, names(20), tmp_path / "c")
    first[1].unlink()
    done = []
    run(task, names(20), tmp_path / "c", on_files=done.append)
    assert (tmp_path / "log").read_text().split() == ["0", "8", "16", "8"]
    assert done == [8, 4, 8]
    run(task, names(20), tmp_path / "c", key="another")
    assert (tmp_path / "log").read_text().split()[4:] == ["0", "8", "16"]
    forget_chunks(tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_processes_give_the_same(tmp_path):
    one, two = (run(Count(), names(33), tmp_path / str(n), processes=n) for n in (0, 2))
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]


def test_files_on_which_a_worker_dies_are_found_and_cost_only_themselves(tmp_path):
    paths = names(40, n3="die here", n18="die there", n19="die too")
    results = [read_chunk(p) for p in run(Count(), paths, tmp_path, processes=2)]
    assert [r.facts["died"] for r in results] == [[3], [], [18, 19], [], []]
    assert [p for r in results for p in r.facts["paths"]] == paths


def test_a_mistake_in_a_task_is_not_taken_for_a_death(tmp_path):
    with pytest.raises(TypeError):
        run(len, names(9), tmp_path, processes=2)


@pytest.mark.parametrize("damage", [lambda data: data[:40], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_a_damaged_chunk_is_named(tmp_path, damage):
    (path,) = run(Count(), names(3), tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(MeloError, match="damaged; delete"):
        read_chunk(path)


def test_a_death_is_noticed_between_two_looks_too(tmp_path):
    """The pool is broken when the next chunk is handed in, because the results of others took time."""
    paths = names(80, n3="die slowly")
    go = tmp_path / "go"

    def wait_for_the_death(_):
        if not go.exists():
            workers = multiprocessing.active_children()
            go.touch()
            for worker in workers:  # one dies, and its pool ends the other
                worker.join(60)

    results = run(Count(go=str(go)), paths, tmp_path / "c", processes=2, on_files=wait_for_the_death)
    assert go.exists()
    assert [p for r in map(read_chunk, results) for p in r.facts["paths"]] == paths


def test_one_core_and_a_resumed_run_are_safe_from_dying_readers_too(tmp_path):
    paths = names(9, n3="die here")
    one = [read_chunk(p).facts["died"] for p in run(Count(), paths, tmp_path, processes=1)]
    assert one == [[3], []]
    (tmp_path / "0000000.safetensors").unlink()
    assert [read_chunk(p).facts["died"] for p in run(Count(), paths, tmp_path, processes=None)] == one


def write_corpus(folder, files, seed=0):
    rng = random.Random(seed)
    folder.mkdir()
    for i in range(files):
        tracks = [
            [e for _ in range(rng.randint(4, 40)) for e in note(rng.randint(50, 70), 240, rest=240, channel=c)]
            for c in (0, 1, 9)
        ]
        (folder / f"{i:05d}.mid").write_bytes(smf(*tracks))
    return sorted(str(p) for p in folder.iterdir())


def tables(paths, folder, workers):
    """The bytes of everything that a run writes."""
    measured = measure_corpus(paths, MeasureChunk.of(len(paths)), folder / "chunks", key="k", workers=workers)
    evidence = evidence_of(measured)
    write_tables(
        measured, evidence, {"offsets": [vars(r) for r in measured.table.rows()], "peaks": str(evidence.peaks)}, folder
    )
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_a_corpus_is_measured_to_the_same_bits_by_any_number_of_processes(tmp_path):
    paths = write_corpus(tmp_path / "midi", 40)
    one, two = (tables(paths, tmp_path / str(n), Workers(processes=n)) for n in (0, 2))
    assert len(one) == 6
    assert one == two


@pytest.mark.filterwarnings("default")  # Dask's own
def test_a_dask_cluster_gives_the_same_bits(tmp_path):
    distributed = pytest.importorskip("distributed", reason="Dask is not installed")
    paths = write_corpus(tmp_path / "midi", 40)
    one = tables(paths, tmp_path / "one", Workers(processes=0))
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        dask = tables(paths, tmp_path / "dask", Workers(cluster=cluster.scheduler_address))
    assert one == dask


def test_no_cluster_at_the_address(tmp_path):
    pytest.importorskip("distributed", reason="Dask is not installed")
    with pytest.raises(MeloError, match="no Dask scheduler answers"):
        run(Count(), names(3), tmp_path, cluster="tcp://127.0.0.1:9")


def test_a_crashed_file_is_skipped_with_a_reason(tmp_path):
    paths = write_corpus(tmp_path / "midi", 3)
    result = MeasureChunk()(10, paths, frozenset({11}))
    assert result.facts["skipped"] == [{"path": paths[1], "reason": CRASHED}]
    assert [p["path"] for p in result.facts["pieces"]] == [paths[0], paths[2]]


KILLED = """
import sys
from pathlib import Path
from analysis.chunked_map import Workers
from analysis.measure_corpus import MeasureChunk, measure_corpus
folder, midi, processes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
if __name__ == "__main__":
    paths = sorted(str(p) for p in midi.iterdir())
    measure_corpus(paths, MeasureChunk.of(len(paths)), folder / "chunks", key="k", workers=Workers(processes=processes))
"""


def kill_and_finish(tmp_path, *, files, kills, processes):
    """Bytes of an undisturbed run, and of one that is killed at random moments and started again."""
    paths = write_corpus(tmp_path / "midi", files)
    script = tmp_path / "run.py"
    script.write_text(KILLED)
    undisturbed = tables(paths, tmp_path / "a", Workers(processes=0))
    folder, seen, rng = tmp_path / "b", set(), random.Random(1)
    for _ in range(kills):
        run = subprocess.Popen(
            [sys.executable, script, folder, tmp_path / "midi", str(processes)], start_new_session=True
        )
        wanted = len(list(folder.glob("chunks/0*"))) + rng.randint(1, 3)
        wait_until(lambda run=run, n=wanted: run.poll() is not None or len(list(folder.glob("chunks/0*"))) >= n)
        os.kill(run.pid, signal.SIGKILL)  # the parent alone: its workers must follow by themselves
        run.wait()
        finished = set(folder.glob("chunks/0*.safetensors"))
        assert seen <= finished  # nothing is lost
        seen = finished
    assert 0 < len(seen) < -(-files // chunk_size(files)) or kills > 1
    return undisturbed, tables(paths, folder, Workers(processes=0))


@pytest.mark.parametrize("processes", [0, 2])
def test_killed_and_started_again_it_gives_the_same_bits(tmp_path, processes):
    undisturbed, killed = kill_and_finish(tmp_path, files=120, kills=2, processes=processes)
    assert undisturbed == killed


@pytest.mark.slow
def test_killed_at_ten_random_moments_over_two_thousand_files(tmp_path):
    undisturbed, killed = kill_and_finish(tmp_path, files=2_000, kills=10, processes=2)
    assert undisturbed == killed
