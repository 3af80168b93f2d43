"""A run that is killed at any moment, again and again, goes on as if nothing had been: every loss, every weight."""

import json
import os
import random
import subprocess
import sys
import time

import pandas as pd
import pytest
import torch
from conftest import ROOT, wait_until
from safetensors.torch import load_file

KILLS = 5


def start_run(folder, **config):
    runs = [{"folder": str(folder), "architecture": "meloformer", "shard": False, "config": config}]
    command = [sys.executable, str(ROOT / "tests" / "train_small.py"), json.dumps(runs)]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


def losses(folder):
    """[(step, loss)] in the order of the steps; a line that a death cut short is none."""
    path = folder / "loss-0.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [tuple(line.split()) for line in lines if len(line.split()) == 2 and "p" in line.split()[1]]


@pytest.mark.slow
def test_killed_at_five_random_moments_and_resumed_equals_undisturbed(tmp_path):
    config = {"packs": 1, "epochs": 40, "evaluations": 20, "patience": 99, "save_seconds": 0.05}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert start_run(whole, **config).wait(timeout=120) == 0
    steps = len(losses(whole))
    assert steps > 100
    moments = random.Random(int(time.time()))
    for kill in range(KILLS):
        process, before = start_run(parts, **config), len(losses(parts))
        wanted = before + moments.randint(1, steps // (KILLS + 2))
        wait_until(lambda process=process, n=wanted: len(losses(parts)) >= n or process.poll() is not None)
        time.sleep(moments.uniform(0, 0.05))  # in the middle of a step, a save or an evaluation
        assert process.poll() is None, f"the run ended before death {kill + 1}"
        process.kill()
        process.wait()
    assert len(losses(parts)) > KILLS
    assert start_run(parts, **config).wait(timeout=120) == 0
    ours, theirs = losses(whole), losses(parts)
    assert len(theirs) > len(ours)  # steps that were not saved were taken twice
    assert dict(theirs) == dict(ours)
    assert set(theirs) == set(ours)  # and was the same both times
    metrics = [pd.read_csv(folder / "metrics.csv") for folder in (whole, parts)]
    columns = [c for c in metrics[0] if "bits" in c or c.startswith("validation") or c in ("step", "learning_rate")]
    pd.testing.assert_frame_equal(metrics[0][columns], metrics[1][columns], check_exact=True)
    a, b = (load_file(folder / "model.safetensors") for folder in (whole, parts))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not (parts / "last.safetensors").exists()
