"""`meloctl train` from outside: models by name, refusals, gates, several processes, and what is reported of a run."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from command_line import facts, meloctl_here, write_corpus
from filelock import FileLock
from msgspec import structs
from rich.console import Console
from rich.progress import Progress

from analysis.errors import MeloError
from analysis.reading import Reading
from meloctl.cli.common import TerminalReporter
from meloctl.dataset.store import make_shard
from meloctl.masking.from_model import read_gates
from meloctl.model.checkpoint import read_description
from meloctl.model.config import PRESETS
from meloctl.progress import SilentReporter
from meloctl.rows.vocabulary import default_vocabulary
from meloctl.training.data import load_train_data, piece_name
from meloctl.training.loss_curve import draw_loss_curve
from meloctl.training.options import TrainOptions
from meloctl.training.plan import plan_training
from meloctl.training.processes import start_accelerator
from meloctl.training.session import run_session
from meloctl.workspace import Workspace

SHORT = ("--minutes", "2", "--epochs", "6", "--packs", "2")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A workspace with statistics and a mask."""
    root = tmp_path_factory.mktemp("train")
    corpus, work = write_corpus(root / "corpus"), root / "melo"
    (corpus / "00a.mid").write_text("no music")
    facts("stats", corpus, work=work)
    facts("derive-mask", work=work)
    return work


def plan_of(work, **options):
    return plan_training(
        Workspace(work), TrainOptions(**{"minutes": 2.0, "epochs": 6, "packs": 2, "model": "tiny", **options})
    )


def trained(work, **options):
    """Train in this process: the run, and what was shown."""
    shown = io.StringIO()
    plan = plan_of(work, **options)
    with Progress(console=Console(file=shown, width=200)) as bars:
        run = run_session(Workspace(work), plan, TerminalReporter(bars), start_accelerator())
    assert Workspace(work).finished(plan.recipe)
    return run, shown.getvalue().splitlines()


def test_a_sibling_needs_no_mask_and_has_a_name_of_its_own(work, tmp_path):
    alone = tmp_path / "melo"  # no derive-mask was ever run here
    shutil.copytree(work / "stats", alone / "stats")
    run, shown = trained(alone, model="encoder-decoder/tiny", learning_rate=0.002)
    results = run.manifest_value("results", "training")
    assert results["model"] == "encoder-decoder/tiny"
    assert results["density"] is None
    assert run.folder.name.startswith("encoder-decoder-tiny-")
    assert read_description(run.folder).architecture == "encoder-decoder"
    assert run.manifest_value("inputs", "mask") is None
    assert (run.manifest_value("options", "model"), run.manifest_value("options", "learning_rate")) == (
        "encoder-decoder/tiny",
        0.002,
    )
    assert any("second half of each window" in line for line in shown)
    spec = plan_of(alone, model="museformer/tiny").spec
    assert spec.same == (1, 2, 4, 8, 12, 16, 24, 32)
    assert spec.same_prior[4] == 1.0  # measured here, as by derive-mask --rule museformer


def test_figures_are_reported_to_programs_and_people(work):
    run, shown = trained(work)
    results, metrics = run.manifest_value("results", "training"), pd.read_csv(run.folder / "metrics.csv")
    assert results["steps"] == metrics["step"].iloc[-1] > 2
    assert results["rows_per_second"] == metrics["rows_per_second"].median()
    assert results["notes_per_second"] == metrics["notes_per_second"].median()
    assert {"waiting", "seconds_left", "best_bits_per_note", "train_bits_per_note"} <= set(metrics)
    assert 0 <= results["waiting"] <= 1
    assert results["peak_bytes"] > 1e8
    assert (results["processes"], results["padding"]) == (1, 0)
    (estimate,) = [line for line in shown if line.startswith("Estimate:")]
    assert f"Estimate: {results['steps']} steps in " in estimate
    assert estimate.endswith(" GB of memory")  # nothing is padded
    steps = [line for line in shown if line.startswith("step ")]
    assert len(steps) == len(metrics)
    best = metrics["validation_bits_per_note"].iloc[0]
    assert f"step 1 of {results['steps']}: {best:.2f} bits a note, the best so far" in steps[0]
    assert all("rows/s" in line and "notes/s" in line for line in steps)
    assert steps[0].endswith(" left")
    assert not steps[-1].endswith(" left")
    assert (tiny_again := plan_of(work, checkpointing=True)).recipe == plan_of(work).recipe
    assert Workspace(work).finished(tiny_again.recipe)  # how it is computed is not what it is
    done = meloctl_here("train", *SHORT, "--model", "tiny", work=work)
    assert "Unchanged since" in done.stdout
    assert f"{results['rows_per_second']:,.0f} rows and" in done.stdout


def test_padding_is_reported_where_there_is_any(work, monkeypatch):
    monkeypatch.setattr("meloctl.training.trainer.padded_length", lambda _, rows: rows)
    run, shown = trained(work, seed=82, epochs=1, packs=1)
    padding = run.manifest_value("results", "training")["padding"]
    (estimate,) = [line for line in shown if line.startswith("Estimate:")]
    assert 0 < padding < 1
    assert estimate.endswith(f"GB of memory; {100 * padding:.1f} % of the rows are padding")


def test_notes_that_no_window_holds_are_reported(work, monkeypatch):
    monkeypatch.setitem(PRESETS, "tiny", structs.replace(PRESETS["tiny"], context=4))
    run, shown = trained(work, epochs=1, seed=79)
    results = run.manifest_value("results", "training")
    # each of a song's 8 bars has a header row, four notes and a bass note: of its notes two do not fit into 4 rows
    bars = 8 * (results["pieces"]["train"] + results["pieces"]["validation"])
    assert results["left_out"] == {"bars": bars, "notes": 2 * bars}
    assert (
        f"{bars} bars are longer than 4 rows: {2 * bars} notes at the end of such bars are not trained on; "
        "a larger model has a longer context"
    ) in shown


def test_gates_are_read_out_and_what_they_learned_can_be_trained_under(work):
    run, _ = trained(work, gates=True)
    assert json.loads((run.folder / "gates.json").read_text())["format"] == "meloctl.gates/2"
    assert "gates.json" in run.files
    assert read_description(run.folder).gated
    mask = facts("derive-mask", "--from-model", run.folder, work=work)
    assert mask["source"]["rule"] == "learned"
    assert plan_of(work).spec.to_json() == mask


def test_a_higher_gate_price_leaves_gates_less_open(work):
    openness = []
    for price in (0.0, 100.0):
        run, _ = trained(work, gates=True, gate_price=price, learning_rate=0.3)
        gates = read_gates(run.folder)
        used = [gate for c in (gates.same, gates.cross) for gate in c.offsets.values() if gate.density > 0]
        openness.append(sum(gate.learned for gate in used) / len(used))
    free, priced = openness
    assert priced < free - 0.02


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"model": "music-transformer", "mask": Path("x.json")},
            "--mask: music-transformer/(tiny|small) takes no mask",
        ),
        ({"model": "museformer/small", "mask": Path("x.json")}, "takes no mask; leave it out, or take --model small"),
        ({"model": "dense/tiny", "gates": True}, "--gates: dense/tiny has none; leave it out, or take --model tiny"),
        ({"gate_price": 1.0}, "--gate-price: without --gates there is nothing to price"),
        ({"pack_rows": 1000}, "--pack-rows 1000: tiny has windows of up to 1,024 rows"),
        ({"packs": 0}, "--packs 0"),
        ({"epochs": 0}, "--epochs 0"),
        ({"model": "perceiver"}, "--model perceiver: no such model"),
    ],
)
def test_options_that_contradict_are_refused(work, options, says):
    with pytest.raises(MeloError) as caught:
        plan_of(work, **options)
    assert re.search(says, caught.value.for_command_line())


@pytest.mark.slow
def test_two_processes_make_one_run(work):
    launch = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "meloctl", "train"]
    done = subprocess.run(
        [sys.executable, "-m", *launch, *SHORT, "--model", "tiny", "--seed", "5", "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "MELOCTL_WORK": str(work), "OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)  # one object: the other process is silent
    assert results["processes"] == 2
    assert done.stderr.count("Estimate:") == 1
    # the number of processes does not make it another run
    assert (
        Workspace(work).finished(plan_of(work, seed=5).recipe).manifest_value("results", "training")["processes"] == 2
    )


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("[enforce fail] can't allocate memory"), MemoryError()],
)
def test_out_of_memory_says_what_takes_it_and_what_takes_less(work, monkeypatch, error):
    def train(*_, **__):
        raise error

    monkeypatch.setattr("meloctl.training.session.train", train)
    plan = plan_of(work, model="small", pack_rows=4096, seed=77)
    with pytest.raises(MeloError) as caught:
        run_session(Workspace(work), plan, SilentReporter(), start_accelerator())
    message = caught.value.for_command_line()
    assert message.startswith("out of memory with --model small. Memory: ")
    assert "for the activations of 4,096 rows" in message
    assert message.endswith("; give --checkpointing, or a smaller --pack-rows, or a smaller --model")


def test_a_run_that_ended_with_a_damaged_model_says_how_to_start_over(work):
    run, _ = trained(work, seed=80, epochs=1)
    (run.folder / "manifest.json").unlink()  # as if it had been killed before
    weights = run.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(MeloError, match=f"its model is damaged; delete {run.folder} and train again"):
        run_session(Workspace(work), plan_of(work, seed=80, epochs=1), SilentReporter(), start_accelerator())


def test_the_reported_step_is_that_of_the_model_that_was_kept(work):
    run, _ = trained(work, seed=81, epochs=1)
    (run.folder / "manifest.json").unlink()
    about = json.loads((run.folder / "model.json").read_text())
    about["quality"]["step"] = 1234  # as if the state had been written before this model, and no later one
    (run.folder / "model.json").write_text(json.dumps(about))
    again = run_session(Workspace(work), plan_of(work, seed=81, epochs=1), SilentReporter(), start_accelerator())
    assert again.manifest_value("results", "training")["step"] == 1234


def test_other_errors_are_not_taken_for_it(work, monkeypatch):
    def train(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr("meloctl.training.session.train", train)
    with pytest.raises(RuntimeError, match="a bug"):
        run_session(Workspace(work), plan_of(work, seed=77), SilentReporter(), start_accelerator())


def test_a_second_command_for_the_same_run_is_kept_out(work):
    space, plan = Workspace(work), plan_of(work, seed=78)
    with space.locked(plan.recipe), pytest.raises(MeloError, match="another meloctl train is writing it"):
        run_session(space, plan, SilentReporter(), start_accelerator())


def test_a_corpus_of_one_piece_is_refused(work):
    plan = plan_of(work)
    one = replace(plan, paths=plan.paths[:1], reading=Reading(meter=(3, 4)))  # another reading: rows of its own
    with pytest.raises(MeloError, match=r"^1 piece to train on and 0 to validate on; both"):
        load_train_data(Workspace(work).cache, one, default_vocabulary(), SilentReporter())


def test_two_trainings_that_start_together_encode_a_corpus_once(work, monkeypatch):
    space, plan, made = Workspace(work), plan_of(work), []
    shutil.rmtree(work / "cache", ignore_errors=True)
    at_the_lock = threading.Semaphore(0)

    class CountedLock(FileLock):
        def acquire(self, *args, **options):
            at_the_lock.release()
            return super().acquire(*args, **options)

    def make_when_both_want_it(*args, **options):
        made.append(1)
        assert all(at_the_lock.acquire(timeout=60) for _ in range(2))
        return make_shard(*args, **options)

    def start_one():
        return load_train_data(space.cache, plan, default_vocabulary(), SilentReporter())

    monkeypatch.setattr("meloctl.dataset.corpus_rows.FileLock", CountedLock)
    monkeypatch.setattr("meloctl.dataset.corpus_rows.make_shard", make_when_both_want_it)
    with ThreadPoolExecutor(2) as pool:
        a, b = (future.result() for future in [pool.submit(start_one) for _ in range(2)])
    assert (len(made), a.shard.split) == (1, b.shard.split)


def test_a_piece_is_named_by_its_file(work):
    plan = plan_of(work)
    assert piece_name(plan, 0) == "00.mid"
    assert piece_name(plan, 1) == "01.mid"  # 00a.mid could not be read


# the picture


def test_the_loss_curve_is_drawn(tmp_path):
    history = [{"step": s, "train_bits_per_note": 9 - s, "validation_bits_per_note": 8 - s} for s in range(3)]
    levels = {"unigram": 11.0, "bigram by field": 7.0, "museformer/tiny": 7.05}
    draw_loss_curve(history, levels, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    draw_loss_curve(history[:1], {}, tmp_path / "one.png")
    assert (tmp_path / "loss.png").read_bytes() != (tmp_path / "one.png").read_bytes()
