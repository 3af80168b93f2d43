"""Several processes are as good as one: two that torchrun starts have the same losses and end with the same weights."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import ROOT
from safetensors.torch import load_file
from train_small import DATA, Recorder, fresh, run

from analysis.errors import MeloError
from meloctl.dataset.packs import Pack, pack_of
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Window
from meloctl.model.registry import ARCHITECTURES, layers_of
from meloctl.rows.vocabulary import default_vocabulary
from meloctl.training.distributed_packs import DistributedPacks
from meloctl.training.processes import broadcast_first, start_accelerator, sum_over_ranks

V = default_vocabulary()


class Place:
    """One of several processes."""

    def __init__(self, rank, world):
        self.process_index, self.num_processes = rank, world


def packs_of_rank(rank, world, *, packs=3, length=None):
    return DistributedPacks(
        PackStream(DATA[0], 100, V, seed=1), DATA[0], packs=packs, accelerator=Place(rank, world), length=length
    )


def own_packs(batch):
    return {micro.index: micro.pack for micro in batch.micro_batches if not micro.is_copy}


def same(a: Pack, b: Pack):
    return np.array_equal(a.rows, b.rows) and np.array_equal(a.starts, b.starts)


@pytest.mark.parametrize("world", [1, 2, 3])
def test_every_pack_of_a_step_is_on_one_rank(world):
    alone = PackStream(DATA[0], 100, V, seed=1)
    for step in (0, 4):
        batches = [packs_of_rank(rank, world).step_batch(step) for rank in range(world)]
        assert len({len(d.micro_batches) for d in batches}) == 1  # all ranks meet in each micro-batch
        together = {k: v for d in batches for k, v in own_packs(d).items()}
        assert sum(len(own_packs(d)) for d in batches) == len(together) == 3
        for index, pack in together.items():
            assert same(pack, alone.pack_at(3 * step + index))
            assert index % world == [index in own_packs(d) for d in batches].index(True)
        assert {d.n_rows for d in batches} == {sum(p.n_rows for p in together.values())}
        for d in batches:
            for index, pack in together.items():
                assert pack.n_rows == sum(len(DATA[0][i].rows) for i in d.windows[index])


def test_a_step_may_lie_in_two_epochs():
    stream = PackStream(DATA[0], 100, V, seed=1)
    first = stream.first_of(1)
    assert first % 3  # or this tests nothing
    batch = packs_of_rank(0, 1).step_batch(first // 3)
    assert batch.epoch == 0
    both = [stream.epoch_of(3 * batch.step + i) for i in range(3)]
    assert set(both) == {0, 1}


def test_packs_are_padded_where_layers_are_compiled():
    (micro, *_) = packs_of_rank(0, 1, length=120).step_batch(0).micro_batches
    assert len(micro.pack.rows) == 120 > micro.pack.n_rows


class Second:
    """The second of two processes; the first one's value is 7."""

    num_processes, is_main_process, device = 2, False, torch.device("cpu")

    def reduce(self, tensor, how):
        assert how == "sum"
        return tensor + 7


def test_values_are_summed_over_ranks_or_taken_from_the_first():
    assert broadcast_first(Second(), 3.0) == 7
    assert sum_over_ranks(Second(), [3.0, 1.0]) == [10.0, 8.0]
    assert broadcast_first(start_accelerator(), 3.0) == 3.0


def test_fewer_packs_than_processes_are_refused(tmp_path, monkeypatch):
    accelerator = start_accelerator()
    monkeypatch.setattr(type(accelerator), "num_processes", 3)
    with pytest.raises(MeloError, match=r"3 processes, and 2 packs a step .*; give `packs 3`, or a multiple"):
        run(tmp_path, Recorder())


@pytest.mark.parametrize(("architecture", "gated"), [*((a, False) for a in ARCHITECTURES), ("meloformer", True)])
def test_every_weight_takes_part_in_every_pack(architecture, gated):
    # or processes would wait for gradients that do not come
    model = fresh(architecture, gated=gated)
    piece = DATA[0][0].rows
    one_bar = piece[: np.flatnonzero(piece[:, 0] == V.bar)[1]]
    model(model.layout(pack_of([Window(rows=one_bar, first_bar=1)]))).sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    assert len(layers_of(model)) == 2


# what two processes write, and what one does

RUNS = {
    "whole": {"architecture": "meloformer", "shard": False, "config": {"packs": 3}},
    "sharded": {"architecture": "meloformer", "shard": True, "config": {"packs": 3, "checkpointing": True}},
    "resumed": {"architecture": "meloformer", "shard": False, "config": {"packs": 3}},
    "resumed-sharded": {"architecture": "meloformer", "shard": True, "config": {"packs": 3}},
}
STOPPED = 7
"""Step after which one process is stopped in the runs that two resume."""


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Folder of runs that two processes made, and their standard output."""
    root = tmp_path_factory.mktemp("two")
    runs = [{**run, "folder": str(root / name)} for name, run in RUNS.items()]
    for name in RUNS:
        if name.startswith("resumed"):
            with pytest.raises(KeyboardInterrupt):
                run(root / name, Recorder(stop_after=STOPPED + 1), packs=3, save_seconds=0.0)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*launch, str(ROOT / "tests" / "train_small.py"), json.dumps(runs)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONFAULTHANDLER": "1"},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return root


@pytest.mark.parametrize("name", RUNS)
def test_two_processes_do_what_one_does(two, tmp_path, name):
    one = Recorder()
    progress = run(tmp_path, one, packs=3)
    logs = [(two / name / f"loss-{rank}.txt").read_text() for rank in (0, 1)]
    assert logs[0] == logs[1]
    steps = [line.split() for line in logs[0].splitlines()]
    done = STOPPED if name.startswith("resumed") else 0
    assert [int(step) for step, _ in steps] == [step for step, _ in one.steps[done:]]
    losses = [float.fromhex(bits) for _, bits in steps]
    np.testing.assert_allclose(losses, [bits for _, bits in one.steps[done:]], rtol=1e-6)
    ended = json.loads((two / name / "training.json").read_text())
    assert ended["why"] == progress.why == "all 8 epochs are done"
    assert ended["best"] == pytest.approx(progress.best, rel=1e-6)
    ours, theirs = (pd.read_csv(folder / "metrics.csv") for folder in (tmp_path, two / name))
    measured = [c for c in ours if c.startswith(("train_", "validation_", "best_")) or c in ("step", "learning_rate")]
    np.testing.assert_allclose(theirs[measured], ours[measured], rtol=1e-5)
    a, b = (load_file(folder / "model.safetensors") for folder in (tmp_path, two / name))
    assert a.keys() == b.keys()
    for weight in a:
        torch.testing.assert_close(a[weight], b[weight], rtol=1e-4, atol=1e-6)
    writers = 2 if done else 1  # the first of two processes alone, and the one before
    assert len(list((two / name / "tensorboard").iterdir())) == writers
