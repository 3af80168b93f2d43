"""Do pieces of `generate --like` follow the course of their file? Correlation by bar of attributes of the music with the file's.

    python benchmarks/like.py FOLDER [--model RUN|default] [--files 20] [--bars 16] [--seed 0]

Of each of so many files of FOLDER (of those that are long enough, evenly spread), one piece is written under the plans of its
first bars, one under the same plans in a random order, and one without plans, all from one seed. Tempo is left out: --like sets
it. For each attribute: the mean over pieces of Pearson's correlation over bars, with its 95 % bootstrap interval. The music must
know nothing of the files but their plans, so files should be of the side of the split that the model was not trained on.
"""

import argparse
from pathlib import Path

import numpy as np

from analysis.arrays import Floats
from analysis.corpus import ReadFile, find_files, read_files
from analysis.intervals import mean_estimates
from meloctl.formatting import text_table, with_interval
from meloctl.generation.constraints import Constraints
from meloctl.generation.new_pieces import new_piece_writers
from meloctl.generation.options import Sampling
from meloctl.generation.sampler import generate
from meloctl.generation.steering import SteeredBars
from meloctl.machine import computes_in_half
from meloctl.model.bar_plans import BarPlans
from meloctl.model.checkpoint import load_model
from meloctl.model.registry import Model
from meloctl.plans.planned_model import plan_channel
from meloctl.rows.attributes import ATTRIBUTES, bar_attributes
from meloctl.rows.codec import Rows, encode
from meloctl.rows.vocabulary import INSTRUMENT
from meloctl.weights.default_weights import named_model

MEASURED = ("density", "register", "loudness", "articulation", "leaps", "parts")
TOGETHER = 10
"""Pieces that are written side by side."""


def rows_of_files(folder: str, count: int, bars: int, model: Model) -> list[Rows]:
    """(L, F) rows of the first bars of so many files, evenly spread over those that have so many."""
    found = []
    for read in read_files(find_files(Path(folder))):
        if isinstance(read, ReadFile) and read.piece.n_bars >= bars:
            rows, _ = encode(read.piece, model.vocabulary)
            opens = np.flatnonzero(rows[:, INSTRUMENT] == model.vocabulary.bar)
            found.append(rows[: opens[bars]] if len(opens) > bars else rows[:-1])
    return [found[i] for i in np.unique(np.linspace(0, len(found) - 1, count).round().astype(int))]


def written(model: Model, plans: list[BarPlans | None], bars: int, seed: int) -> list[Rows]:
    """(L, F) a piece under each of the plans."""
    rows: list[Rows] = []
    for first in range(0, len(plans), TOGETHER):
        some = plans[first : first + TOGETHER]
        seeds = range(seed + first, seed + first + len(some))
        writers = new_piece_writers(model, Constraints(bars=bars), [None] * len(some), seeds)
        generate(model, writers, Sampling(), half=computes_in_half("cpu"), plans=some)
        rows += [writers.rows(i) for i in range(len(some))]
    return rows


def correlations(files: list[Rows], music: list[Rows], model: Model) -> Floats:
    """(P, M) of each piece with its file, over bars; NaN where one of the two never differs."""
    found = np.full((len(files), len(MEASURED)), np.nan)
    for p, pair in enumerate(zip(files, music, strict=True)):
        asked, came = (bar_attributes(rows, model.vocabulary) for rows in pair)
        for m, name in enumerate(MEASURED):
            x, y = asked[:, ATTRIBUTES.index(name)], came[:, ATTRIBUTES.index(name)]
            known = np.isfinite(x) & np.isfinite(y)
            if known.sum() > 3 and min(x[known].std(), y[known].std()) > 1e-9:
                found[p, m] = np.corrcoef(x[known], y[known])[0, 1]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--model", default="default")
    parser.add_argument("--files", type=int, default=20)
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    model, _ = load_model(named_model(options.model, field="model"))
    files = rows_of_files(options.folder, options.files, options.bars, model)
    where = SteeredBars(first=0, bars=options.bars, piece_bars=options.bars)
    random = np.random.default_rng(options.seed)
    vectors = [plan_channel(model).of_rows(rows, model.vocabulary) for rows in files]
    kinds: dict[str, list[BarPlans | None]] = {
        "like the file": [where.plans(v) for v in vectors],
        "its plans shuffled": [where.plans(v[random.permutation(len(v))]) for v in vectors],
        "without plans": [None] * len(files),
    }
    table = [[f"{len(files)} files, {options.bars} bars", *MEASURED]]
    for kind, plans in kinds.items():
        found = correlations(files, written(model, plans, options.bars, options.seed), model)
        estimates = mean_estimates(found, random)
        table.append([kind, *(with_interval(e.value, (e.low, e.high)) for e in estimates)])
    print("\n".join(text_table(table)))


if __name__ == "__main__":
    main()
