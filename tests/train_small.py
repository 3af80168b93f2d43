"""Small training runs, for tests; as a program, one or more of them, which tests kill, or start several times at once.

    python tests/train_small.py '[{"folder": "…", "architecture": "meloformer", "shard": false, "config": {…}}, …]'

Every step's loss goes to FOLDER/loss-RANK.txt as soon as it is known.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from small_models import SEED, music

from meloctl.dataset.windows import windows
from meloctl.model.config import ModelConfig
from meloctl.model.registry import MELOFORMERS, build
from meloctl.rows.vocabulary import default_vocabulary
from meloctl.training import processes
from meloctl.training.options import TrainConfig
from meloctl.training.processes import end_processes, start_accelerator
from meloctl.training.reports import RunEstimate
from meloctl.training.trainer import TrainJob, train

processes.computes_in_half = lambda device: False  # numbers are compared here, whatever this CPU has instructions for
torch.set_num_threads(1)  # on models so small, threads wait for each other more than they work
V = default_vocabulary()
SIZES = {
    "layers": 2,
    "width": 24,
    "heads": 2,
    "kv_heads": 1,
    "hidden": 29,
    "field_hidden": 13,
    "dropout": 0.1,
    "context": 64,
}


def pieces(count, seed=0):
    return [music(seed + i, bars=4 + i % 3)[0].numpy().astype(np.int16) for i in range(count)]


DATA = (windows(pieces(12), 64, V), windows(pieces(8, seed=90), 64, V))  # an odd number of packs of 100 rows


def config(**change):
    settings = {
        "seed": 3,
        "packs": 2,
        "pack_rows": 100,
        "learning_rate": 0.004,
        "minutes": 10.0,
        "epochs": 8,
        "evaluations": 4,
    }
    return TrainConfig(**{**settings, **change})


def fresh(architecture="meloformer", *, gated=False, **change):
    torch.manual_seed(0)
    spec = SEED if architecture in MELOFORMERS else None
    return build(architecture, ModelConfig(**{**SIZES, **change}), V, spec, gated=gated)


class Recorder:
    """A progress reporter that remembers, and can stop the run."""

    def __init__(self, stop_after=None, log=None):
        self.steps, self.stop_after, self.estimate, self.log = [], stop_after, None, log
        self.messages, self.planned = [], None

    def stage(self, name, steps, *, done=0):
        assert name == "training"
        self.planned = steps

    def advance(self, steps=1, *, status=""):
        assert steps == 1
        self.steps.append((status.step, status.bits_per_note))
        assert status.speed.rows_per_second > status.speed.notes_per_second > 0
        assert 0 <= status.speed.waiting <= 1
        assert status.seconds_left >= 0
        assert str(status).startswith(f"epoch {status.epoch + 1}, {status.bits_per_note:.2f} bits")
        if self.log:
            self.log.write(f"{status.step} {status.bits_per_note.hex()}\n")
            self.log.flush()
        if status.step == self.stop_after:
            raise KeyboardInterrupt

    def resize(self, steps):
        self.planned = steps

    def message(self, text):
        if isinstance(text, RunEstimate):
            self.estimate = text
        self.messages.append(str(text))


def run(
    folder,
    reporter,
    *,
    architecture="meloformer",
    shard=False,
    data=DATA,
    model=None,
    penalty=None,
    clock=time.monotonic,
    began=None,
    **change,
):
    """One run; returns how it ended."""
    training, validation = data
    job = TrainJob(
        model=model or fresh(architecture),
        architecture=architecture,
        training=training,
        validation=validation,
        config=config(**change),
        folder=folder,
        shard=shard,
        penalty=penalty,
        clock=clock,
        began=began,
    )
    return train(job, reporter, start_accelerator())


if __name__ == "__main__":
    for options in json.loads(sys.argv[1]):
        folder = Path(options["folder"])
        folder.mkdir(exist_ok=True)
        with (folder / f"loss-{start_accelerator().process_index}.txt").open("a") as log:
            run(
                folder,
                Recorder(log=log),
                architecture=options["architecture"],
                shard=options["shard"],
                **options["config"],
            )
    end_processes(start_accelerator())
    threads = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    assert not any("gloo" in name for name in threads), threads
