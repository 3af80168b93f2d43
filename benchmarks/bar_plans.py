"""Bar plans: what they are worth in bits a note at several widths of the channel, and what they cost a model that has none.

    python benchmarks/bar_plans.py WORK [--steps 300] [--noise 0.15 0.3 0.6 1.2] [--share 0.5] [--seeds 0] [--out FILE.json]

WORK is a workspace with statistics and a mask. For each standard deviation of the channel's noise, and once for a model that
knows no plans, `tiny` is trained for equally many steps on equal rows. Measured on the test pieces: bits a note without plans,
with plans through the noise, and with other pieces' plans; the share of each attribute's variance that a plan's read-out
explains; rows a second of CPU time. Models are trained one after the other; what FILE.json holds is not measured again.
"""

import argparse
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from msgspec.structs import replace

from analysis.atomic_write import atomic_write_text
from analysis.corpus import find_files, fingerprint
from analysis.reading import Reading
from masks.spec import MaskSpec
from meloctl.dataset.corpus_rows import corpus_rows
from meloctl.dataset.packs import pack_of
from meloctl.dataset.store import Shard
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Window, windows
from meloctl.model.bar_plans import PLAN_WIDTH
from meloctl.model.config import PRESETS
from meloctl.model.meloformer.model import MeloFormer
from meloctl.progress import SilentReporter
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.rows.bar_features import piece_features
from meloctl.rows.vocabulary import INSTRUMENT, default_vocabulary
from meloctl.training.distributed_packs import DistributedPacks
from meloctl.training.ngram_baselines import NgramBaseline
from meloctl.training.options import INFILL, LEARNING_RATE, TrainConfig
from meloctl.training.train_step import make_train_state, optimizer_step, step_layout
from meloctl.workspace import Workspace

V = default_vocabulary()
CONTEXT = PRESETS["tiny"].context


def trained(
    shard: Shard, spec: MaskSpec, *, noise: float | None, share: float, steps: int, seed: int
) -> tuple[MeloFormer, float]:
    """A model after some steps, and rows a second of CPU time."""
    torch.manual_seed(seed)
    pieces = shard.of_split("train")
    sizes = replace(PRESETS["tiny"], plan_width=PLAN_WIDTH if noise else 0, plan_noise=noise or 1.0)
    model = MeloFormer(sizes, V, spec)
    model.heads.init_biases(NgramBaseline(pieces, V).unigram)
    config = TrainConfig(
        seed=seed,
        packs=1,
        pack_rows=2 * CONTEXT,
        learning_rate=LEARNING_RATE,
        minutes=1,
        infill=INFILL,
        plans=share if noise else 0.0,
    )
    accelerator = Accelerator(mixed_precision="bf16", cpu=True)
    state = make_train_state(model, config, accelerator)
    chosen = windows(pieces, CONTEXT, V)
    stream = PackStream(chosen, config.pack_rows, V, seed=seed, infill=INFILL, plans=config.plans)
    packs = DistributedPacks(stream, chosen, packs=1, accelerator=accelerator, length=None)
    model.train()
    began, rows = time.process_time(), 0
    for step in range(steps):
        done = (step + 1) / steps
        rate = LEARNING_RATE * min(done / 0.05, 0.1 + 0.45 * (1 + math.cos(math.pi * max(0.0, (done - 0.05) / 0.95))))
        batch = step_layout(model)(packs.step_batch(step))
        rows += batch.batch.n_rows
        optimizer_step(state, batch, config, rate=rate)
    return model.eval(), rows / (time.process_time() - began)


@torch.no_grad()
def bits(model: MeloFormer, chosen: Sequence[Window], plans: str) -> float:
    """Bits a note on windows without plans, with their own through the noise, or with those of other windows."""
    nll, notes = 0.0, 0
    for i, window in enumerate(chosen):
        n_bars = int((window.rows[:, INSTRUMENT] == V.bar).sum())
        layout = model.layout(pack_of([window], None if plans == "none" else np.ones(n_bars, dtype=np.bool_)))
        if plans == "other" and layout.features is not None:
            other = piece_features(chosen[i - len(chosen) // 2].rows, V).values
            layout.features.values[:n_bars] = torch.from_numpy(np.resize(other, (n_bars, other.shape[1])))
        torch.manual_seed(i)
        model.train(plans != "none")  # the channel's noise; there is no dropout
        with torch.autocast("cpu", dtype=torch.bfloat16):
            nll += float(model(layout).double().sum())
        notes += layout.n_notes
    model.eval()
    return nll / math.log(2) / notes


@torch.no_grad()
def explained(model: MeloFormer, shard: Shard) -> dict[str, float]:
    """Share of each attribute's variance over bars of test pieces that is read off the plans, through the noise."""
    assert model.plans is not None
    features = [piece_features(rows, V) for rows in shard.of_split("test")]
    values, known = (np.concatenate([getattr(f, name) for f in features]) for name in ("values", "known"))
    torch.manual_seed(0)
    plans = model.plans(torch.from_numpy(values))
    read = model.plans.attributes(plans + model.plans.noise * torch.randn_like(plans)).numpy()
    out = {}
    for a, name in enumerate(ATTRIBUTES):
        true = values[known[:, a], a]
        if true.std() > 1e-3:
            out[name] = round(1 - float(((read[known[:, a], a] - true) ** 2).mean() / true.var()), 3)
    return out


def measured(shard: Shard, spec: MaskSpec, **about: Any) -> dict[str, Any]:
    """All numbers of one model."""
    model, speed = trained(shard, spec, **about)
    tested = windows(shard.of_split("test"), CONTEXT, V)
    out: dict[str, Any] = {"rows_per_cpu_second": round(speed), "without": round(bits(model, tested, "none"), 4)}
    if model.plans is not None:
        out |= {
            "bits_a_bar_at_most": round(model.plans.bits, 1),
            "with": round(bits(model, tested, "own"), 4),
            "with_those_of_others": round(bits(model, tested, "other"), 4),
            "explained": explained(model, shard),
        }
    return out


def main() -> None:
    """Measure what is not measured yet, and print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--noise", type=float, nargs="*", default=[0.15, 0.3, 0.6, 1.2])
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--out", type=Path, default=Path("bar_plans.json"))
    given = parser.parse_args()
    space = Workspace(given.work)
    stats = space.latest("stats")
    corpus = Path(stats.manifest_value("inputs", "corpus"))
    paths = find_files(corpus)
    shard = corpus_rows(
        space.cache,
        paths,
        V,
        SilentReporter(),
        corpus=str(corpus),
        fingerprint=fingerprint(paths, corpus),
        reading=Reading.from_json(stats.manifest.options, where=stats.folder.name),
    )
    spec = MaskSpec.read(space.latest("mask").folder / "mask.json")
    cells: dict[str, Any] = json.loads(given.out.read_text()) if given.out.is_file() else {}
    torch.set_num_threads(1)
    for seed in given.seeds:
        for noise in (None, *given.noise):
            name = f"noise {noise}, share {given.share}, seed {seed}, {given.steps} steps"
            if name not in cells:
                cells[name] = measured(shard, spec, noise=noise, share=given.share, steps=given.steps, seed=seed)
                atomic_write_text(given.out, json.dumps(cells, indent=1) + "\n")
            print(name, json.dumps(cells[name]), flush=True)


if __name__ == "__main__":
    main()
