"""How long models take for the same rows on this machine: in turns, so that whatever else runs here slows all of them down."""

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
    """A few packs as training makes them, evenly taken."""
    arrangement = arrange(lengths_of(chosen), CONTEXTS * context)
    every = -(-len(arrangement) // _PACKS)
    return [pack_of([chosen[i] for i in arrangement.of(p)]) for p in range(0, len(arrangement), every)]


@torch.no_grad()
def forward_seconds(
    models: Sequence[Model], packs: Sequence[Pack], *, half: bool, on_round: Callable[[], None] = lambda: None
) -> Floats:
    """(rounds, models) seconds that each model's forward pass takes for a thousand rows; layouts are made beforehand.

    Args:
        models: in evaluation mode, on the CPU.
        half: products in bf16, as training has them on this machine.
        on_round: called after each; there are MOST_ROUNDS at most.
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
    for m in order:  # kernels are made, memory is taken
        seconds(m)
    rounds: list[Floats] = []
    began = time.perf_counter()
    while len(rounds) < LEAST_ROUNDS or (len(rounds) < MOST_ROUNDS and time.perf_counter() - began < SECONDS):
        taken = np.zeros(len(models))
        for m in order:
            taken[m] = seconds(m)
        rounds.append(1000 * taken / rows)
        order.reverse()  # nobody always follows the same one
        on_round()
    return np.stack(rounds)


def times(mine: Floats, first: Floats) -> tuple[float, list[float]]:
    """How many times the first model's a model's numbers are, turn by turn, (turns,) each: the median, and the middle half.

    The least and the most would lie farther apart the more turns there are.
    """
    low, middle, high = np.percentile(mine / first, (25, 50, 75))
    return float(middle), [float(low), float(high)]
