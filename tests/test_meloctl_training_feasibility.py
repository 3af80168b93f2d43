"""`meloctl train` before it starts: what is refused, what is doubtful, and hints as they can be pasted."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from command_line import everything_under, facts, meloctl_here, write_corpus

from analysis.errors import MeloError
from meloctl.cli.train import _next, train
from meloctl.machine import Machine
from meloctl.training.feasibility import Feasibility
from meloctl.training.options import TrainOptions, to_command_line
from meloctl.training.plan import plan_training
from meloctl.training.processes import start_accelerator
from meloctl.training.session import session_feasibility
from meloctl.workspace import Workspace


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A workspace with statistics and a mask."""
    root = tmp_path_factory.mktemp("feasibility")
    facts("stats", write_corpus(root / "corpus"), work=root / "melo")
    facts("derive-mask", work=root / "melo")
    return root / "melo"


def test_a_large_model_on_a_cpu_is_refused_politely(work):
    if torch.cuda.is_available():
        pytest.skip("a GPU may be large enough")
    before = everything_under(work)
    done = meloctl_here("train", "--model", "large", "--minutes", "0.01", work=work)
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert lines[0].startswith("meloctl: model large is too much for this CPU")
    assert [line.split()[0] for line in lines[1:3]] == ["Memory:", "Time:"]
    assert len(lines) == 4
    assert everything_under(work) == before


SMALL = Machine(device="cpu", memory_bytes=5_000_000_000, flops_per_second=1e14, bytes_per_second=1e12)


def test_what_fits_is_a_command_that_can_be_pasted(work, monkeypatch, capsys):
    monkeypatch.setattr("meloctl.training.session.this_machine", lambda *_, **__: SMALL)
    with pytest.raises(typer.Exit):
        train(model="large", minutes=7.0, packs=3, gates=True, checkpointing=True, work=work)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "meloctl: model large is too much for this CPU; nothing was started"
    fits = f"  What fits: meloctl train --model base --gates --minutes 7 --packs 3 --checkpointing --work {work} ("
    assert lines[-1].startswith(fits)


def test_a_run_that_was_begun_is_not_refused(work, monkeypatch):
    monkeypatch.setattr("meloctl.training.session.this_machine", lambda *_, **__: replace(SMALL, memory_bytes=0))
    space = Workspace(work)
    plan = plan_training(space, TrainOptions(model="tiny"))
    assert session_feasibility(space, plan, start_accelerator()).refused
    folder = space.folder(plan.recipe)
    folder.mkdir(parents=True)
    for name in ("last.safetensors", "training.json"):
        (folder / name).touch()
        assert session_feasibility(space, plan, start_accelerator()) == Feasibility()
        (folder / name).unlink()
    assert session_feasibility(space, plan, start_accelerator()).refused


def test_options_are_words_of_the_command(monkeypatch):
    assert to_command_line(TrainOptions()) == []
    every = TrainOptions(
        model="dense/tiny",
        mask=Path("a mask.json"),
        minutes=0.25,
        epochs=7,
        seed=4294967295,
        learning_rate=0.00012345678,
        packs=3,
        pack_rows=5000,
        gates=True,
        gate_price=0.5,
        checkpointing=True,
        shard=False,
    )
    parsed = []

    def plan_training(_, options):
        parsed.append(options)
        raise MeloError("enough")

    monkeypatch.setattr("meloctl.training.plan.plan_training", plan_training)
    app = typer.Typer()
    app.command()(train)
    with pytest.raises(MeloError, match="enough"):
        app(to_command_line(every), standalone_mode=False)
    assert parsed == [every]


def test_hints_of_a_workspace_name_it(work):
    done = meloctl_here("derive-mask", "--work", work, work=work)
    assert done.stdout.splitlines()[-1] == (
        f"To look at it: meloctl mask show --work {work}; beside other rules: meloctl mask compare --work {work}; "
        f"all in one page: meloctl report --work {work}"
    )
    plan = plan_training(Workspace(work), TrainOptions(model="tiny", gates=True))
    assert _next(plan, Path("run 1"), work) == [
        f"Next: meloctl generate --bars 32 --work {work}",
        f"The mask that it learned: meloctl derive-mask --from-model 'run 1' --work {work}",
    ]
