"""Attention alone, one layer, forward and backward: ours under several masks against PyTorch's causal flash kernel.

float32, 6 heads of width 64, rows of real pieces; rows among themselves, without summaries. All take turns in rounds; each
round's time is divided by that round's time of dense causal attention. The plan is made once, before, and timed by itself.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from msgspec.structs import replace
from torch import Tensor
from train_contestants import SEED_MASK
from train_music import excerpts

from masks.rules.baselines import museformer_mask, window_mask
from masks.spec import MaskSpec
from masks.tiling.cell_rows import cells_of_rows
from masks.tiling.kernel_costs import CPU
from masks.tiling.plan import plan
from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import Window
from meloctl.model.attention.attend import AttentionPlan
from meloctl.model.attention.tiled.planner import TilePlanner
from meloctl.model.meloformer.layout import places_of
from meloctl.rows.codec import Rows
from meloctl.rows.vocabulary import default_vocabulary

HEADS, WIDTH = 6, 64
MUSIC = 3
"""Pieces, at each length."""

BUDGET = MaskSpec(same=tuple(range(1, 33)), near=0, far=(4, 8, 12, 16, 24, 28, 32), summaries=True)
"""What `meloctl derive-mask --rule budget --share 0.3` gives on the set `band`."""

SPECS = {
    "seed": SEED_MASK,
    "Museformer": museformer_mask(),
    "budget of 0.3": BUDGET,
    "window of 8 bars": window_mask(8),
}

Times = dict[str, list[float]]


def attention_alone(
    folder: Path, length: int, rounds: int, threads: int, random: np.random.Generator
) -> list[dict[str, Any]]:
    """One entry a mask: time of dense causal attention's, over rounds and pieces.

    Args:
        length: rows; pieces are cut there, or repeated at later bars where none is as long.
    """
    torch.set_num_threads(threads)
    chosen = excerpts(folder, default_vocabulary(), length, MUSIC, random)
    plans = {name: [planned(spec, rows) for rows, _ in chosen] for name, spec in SPECS.items()}
    times = [in_rounds({name: made[i][0] for name, made in plans.items()}, length, rounds) for i in range(MUSIC)]
    repeated = sum(again for _, again in chosen)
    return [
        {
            "rows": length,
            "spec": name,
            **ratio([t[name] for t in times], [t["causal"] for t in times]),
            "work_of_causal": round(statistics.mean(share for _, share, _ in plans[name]), 3),
            "plan_ms": round(statistics.median(ms for *_, ms in plans[name]), 1),
            "causal_ms": round(1e3 * statistics.median(s for t in times for s in t["causal"]), 1),
            "pieces": MUSIC,
            "repeated": repeated,
        }
        for name in SPECS
    ]


def ratio(ours: list[list[float]], causal: list[list[float]]) -> dict[str, Any]:
    """Each piece's ratio of medians over its rounds; their median, and the least and the most of single rounds.

    Args:
        ours, causal: seconds of each round, piece by piece.
    """
    pieces = [statistics.median(a) / statistics.median(b) for a, b in zip(ours, causal, strict=True)]
    single = [x / y for a, b in zip(ours, causal, strict=True) for x, y in zip(a, b, strict=True)]
    return {
        "of_causal": round(statistics.median(pieces), 3),
        "least": round(min(single), 3),
        "most": round(max(single), 3),
        "by_piece": [round(r, 3) for r in pieces],
    }


def planned(spec: MaskSpec, rows: Rows) -> tuple[AttentionPlan, float, float]:
    """The plan of rows among themselves, its work as a share of dense causal attention's, and how many ms it took to make."""
    vocabulary, alone = default_vocabulary(), replace(spec, summaries=False)
    pack = pack_of([Window(rows=rows, first_bar=0)])
    began = time.perf_counter()
    places = places_of(pack, vocabulary)
    costs = CPU.at(heads=HEADS, width=WIDTH, threads=torch.get_num_threads())
    rows_plan, _ = TilePlanner(alone, costs=costs).plans(places)
    ms = 1e3 * (time.perf_counter() - began)
    tiles = plan(alone, cells_of_rows(places.bar, places.part), costs=costs)
    return rows_plan, tiles.work / tiles.dense_work, ms


def in_rounds(plans: dict[str, AttentionPlan], length: int, rounds: int) -> Times:
    """Seconds of each contestant in each round, after one that does not count."""
    torch.manual_seed(0)
    q_LHD, k_LHD, v_LHD, grad_LHD = (torch.randn(length, HEADS, WIDTH) for _ in range(4))
    flat = [x.clone().requires_grad_() for x in (q_LHD, k_LHD, v_LHD)]
    by_head = [x.transpose(0, 1)[None].contiguous().requires_grad_() for x in (q_LHD, k_LHD, v_LHD)]
    grad_BHLD = grad_LHD.transpose(0, 1)[None].contiguous()
    contestants: dict[str, Callable[[], None]] = {"causal": partial(both_ways, causal, by_head, grad_BHLD)}
    for name, found in plans.items():
        contestants[name] = partial(both_ways, found.attend, flat, grad_LHD)
    times: Times = {name: [] for name in contestants}
    for i in range(rounds + 1):
        for name, work in contestants.items():
            began = time.perf_counter()
            work()
            if i:
                times[name].append(time.perf_counter() - began)
    return times


def causal(q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
    """Dense causal attention, by PyTorch's flash kernel."""
    return F.scaled_dot_product_attention(q_BHLD, k_BHLD, v_BHLD, is_causal=True)


def both_ways(attention: Callable[[Tensor, Tensor, Tensor], Tensor], inputs: list[Tensor], grad: Tensor) -> None:
    """Forward and backward."""
    attention(*inputs).backward(grad)
    for x in inputs:
        x.grad = None
