"""Training and generation beside busy loops, in this checkout and in another one, in turns.

    python benchmarks/busy.py WORKSPACE --before FOLDER [--loops 2] [--rounds 5] [--seconds 15]

WORKSPACE holds statistics, a mask and a trained model; it is copied. Each figure is the median over the rounds, with all threads
that a checkout takes by itself: rows a second of training steps after the first, in the time given (the last step is finished);
and notes a second of `generate_pieces`, loading and pictures included. A busy loop is `python -c "while True: pass"`.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

MODES = {"training": "rows/s", "generation": "notes/s"}
BARS = 256


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """So many programs that take a core each, as far as there are cores."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def trained_rows(work: Path, seconds: float) -> float:
    """Rows a second of training `tiny` in the checkout that is imported."""
    import torch

    from meloctl.dataset.stream import PackStream
    from meloctl.model.registry import build
    from meloctl.progress import SilentReporter
    from meloctl.rows.vocabulary import default_vocabulary
    from meloctl.training.data import load_train_data
    from meloctl.training.distributed_packs import DistributedPacks
    from meloctl.training.options import TrainOptions
    from meloctl.training.plan import plan_training
    from meloctl.training.processes import start_accelerator
    from meloctl.training.train_step import make_train_state, optimizer_step, step_layout
    from meloctl.workspace import Workspace

    space, vocabulary = Workspace(work), default_vocabulary()
    plan = plan_training(space, TrainOptions(model="tiny"))
    data, accelerator = load_train_data(space.cache, plan, vocabulary, SilentReporter()), start_accelerator()
    torch.manual_seed(0)
    model = build(plan.name.architecture, plan.name.config, vocabulary, plan.spec)
    config, state = plan.config, make_train_state(model, plan.config, accelerator)
    stream = PackStream(data.training, config.pack_rows, vocabulary, seed=0, infill=config.infill)
    packs = DistributedPacks(stream, data.training, packs=config.packs, accelerator=accelerator, length=None)
    state.wrapped.train()
    tuner = None
    if importlib.util.find_spec("meloctl.threads"):  # a checkout of before has none
        from meloctl.threads import new_tuner

        tuner = new_tuner(None)
    rows, began, step = 0, 0.0, 0
    while step < 2 or time.monotonic() - began < seconds:
        batch = step_layout(model)(packs.step_batch(step))
        if step == 1:
            began = time.monotonic()
        with tuner.timed(batch.batch.n_rows) if tuner and step else nullcontext():
            optimizer_step(state, batch, config, rate=1e-3)
        rows, step = rows + (batch.batch.n_rows if step else 0), step + 1
    return rows / (time.monotonic() - began)


def generated_notes(work: Path) -> float:
    """Notes a second of a piece of BARS bars."""
    from meloctl.generation.options import GenerateOptions
    from meloctl.generation.plan import plan_generation
    from meloctl.generation.session import generate_pieces
    from meloctl.progress import SilentReporter
    from meloctl.workspace import Workspace

    plan = plan_generation(Workspace(work), GenerateOptions(bars=BARS, seed=time.time_ns() % 10**6))
    began = time.monotonic()
    run = generate_pieces(Workspace(work), plan, SilentReporter())
    notes: int = run.manifest_value("results", "pieces")[0]["notes"]
    return notes / (time.monotonic() - began)


def measured(checkout: Path, mode: str, work: Path, args: argparse.Namespace) -> float:
    """One figure of a checkout, in a process of its own; 0 where it does not end in time."""
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        str(work),
        "--child",
        mode,
        "--seconds",
        str(args.seconds),
    ]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    try:
        done = subprocess.run(
            command, env=environment, cwd=checkout, capture_output=True, text=True, check=True, timeout=args.timeout
        )
    except subprocess.TimeoutExpired:
        return 0.0
    return float(json.loads(done.stdout.splitlines()[-1]))


def compare(args: argparse.Namespace) -> None:
    """Print a line for each thing that is measured and each number of loops, round by round."""
    here = Path(__file__).resolve().parents[1]
    checkouts = {"before": args.before.resolve(), "now": here}
    found: dict[tuple[str, int, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in checkouts:
            shutil.copytree(args.workspace, Path(temporary) / name)
        for n in range(args.rounds):
            for mode in MODES:
                for loops in (0, args.loops):
                    for name, checkout in sorted(checkouts.items(), reverse=bool(n % 2)):
                        with busy_loops(loops):
                            figure = measured(checkout, mode, Path(temporary) / name, args)
                        found.setdefault((mode, loops, name), []).append(figure)
                        print(f"round {n + 1}, {mode}, {loops} loops, {name}: {figure:,.0f} {MODES[mode]}", flush=True)
    for mode in MODES:
        for loops in (0, args.loops):
            before, now = (statistics.median(found[mode, loops, name]) for name in ("before", "now"))
            ratio = f"{now / before:.1f} times" if before else f"before did not end in {args.timeout:g} s"
            print(f"{mode} beside {loops} loops: {before:,.0f} → {now:,.0f} {MODES[mode]}, {ratio}")


def main() -> None:
    """Compare, or measure one figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--before", type=Path, default=Path(), help="another checkout")
    parser.add_argument("--loops", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15.0, help="of training")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for each figure")
    parser.add_argument("--child", choices=list(MODES), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is None:
        compare(args)
        return
    if importlib.util.find_spec("meloctl.openmp"):  # as the command line does
        from meloctl.openmp import limit_spinning

        limit_spinning()
    print(trained_rows(args.workspace, args.seconds) if args.child == "training" else generated_notes(args.workspace))


if __name__ == "__main__":
    main()
