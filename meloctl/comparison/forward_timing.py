"""Time of the models' forward passes on the same rows, round by round, so that other load on the machine slows all of them."""

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from analysis.arrays import Floats
from meloctl.dataset.packs import Pack, arrange, lengths_of, pack_of
from meloctl.dataset.windows import Window
from meloctl.model.registry import Model
from meloctl.training.options import CONTEXTS

LEAST_ROUNDS, MOST_ROUNDS = 5, 25
SECONDS = 30.0
"""No new round begins after so long, once there are LEAST_ROUNDS."""

_PACKS = 2


def sample_packs(chosen: Sequence[Window], context: int) -> list[Pack]:
    """One or two of the packs that training would make of windows, evenly taken. `context`: most rows of a window."""
    arrangement = arrange(lengths_of(chosen), CONTEXTS * context)
    every = -(-len(arrangement) // _PACKS)
    return [pack_of([chosen[i] for i in arrangement.of(p)]) for p in range(0, len(arrangement), every)]


@torch.no_grad()
def forward_seconds(
    models: Sequence[Model], packs: Sequence[Pack], *, half: bool, on_round: Callable[[], None] = lambda: None
) -> Floats:
    """Seconds of each model's forward pass for 1,000 rows → (rounds, models); layouts are made beforehand.

    Args:
        models: in evaluation mode, on the CPU.
        packs: that each model computes in each round.
        half: matrix products in bf16, as in training on this machine.
        on_round: called after each round; there are MOST_ROUNDS at most.
    """
    layouts = [[model.layout(pack) for pack in packs] for model in models]
    rows = sum(pack.n_rows for pack in packs)

    def seconds(m: int) -> float:
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            for layout in layouts[m]:
                models[m](layout)
        return time.perf_counter() - began

    order = list(range(len(models)))
    for m in order:  # warm up: kernels are made, memory is allocated
        seconds(m)
    rounds: list[Floats] = []
    began = time.perf_counter()
    while len(rounds) < LEAST_ROUNDS or (len(rounds) < MOST_ROUNDS and time.perf_counter() - began < SECONDS):
        taken = np.zeros(len(models))
        for m in order:
            taken[m] = seconds(m)
        rounds.append(1000 * taken / rows)
        order.reverse()  # no model always follows the same one
        on_round()
    return np.stack(rounds)


def ratio_over_rounds(values: Floats, first: Floats) -> tuple[float, list[float]]:
    """Ratio of a model's numbers to the first model's, round by round: the median, and the quartiles [25 %, 75 %].

    Minimum and maximum would lie farther apart the more rounds there are.

    Args:
        values: (rounds,) of the model.
        first: (rounds,) of the first model.
    """
    low, middle, high = np.percentile(values / first, (25, 50, 75))
    return float(middle), [float(low), float(high)]
