"""How long it takes to plan a mask, how much work the plan leaves, and what a tile costs a kernel.

python benchmarks/plan.py                    made-up pieces of 10,000 rows, one core
python benchmarks/plan.py FOLDER             and the MIDI files of a folder
python benchmarks/plan.py --kernel           measures the constants of masks.tiles.Costs (needs torch)
add --json for programs
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from analysis.errors import MeloError
from masks.plan import Plan, plan
from masks.spec import MaskSpec
from masks.tiles import CellRows, cells_of_rows

MUSEFORMER = (1, 2, 4, 8, 12, 16, 24, 32)
SPECS = {
    "seed": MaskSpec(same="full", near=2, far=(4,), summaries=True),
    "seed, drums exempt": MaskSpec(same="full", near=2, far=(4,), drums="exempt", summaries=True),
    "window of 8 bars": MaskSpec(same=tuple(range(1, 9)), near=8, far=(), summaries=True),
    "Museformer": MaskSpec(same=MUSEFORMER, near=2, far=MUSEFORMER[2:], summaries=True),
    "causal": MaskSpec(same="full", near=10_000, far=(), summaries=False),
}


def made_up(n_bars: int, n_parts: int, rows: int) -> CellRows:
    """A piece in which every part plays `rows` notes in every bar; part 1 is drums."""
    n = n_bars * n_parts
    bar, part = np.repeat(np.arange(n_bars), n_parts), np.tile(np.arange(n_parts), n_bars)
    return CellRows(bar=bar, part=part, rows=np.full(n, rows), drums=frozenset({1}))


def cells_of_file(path: Path) -> CellRows:
    """The cells of a MIDI file, as the model sees them."""
    from analysis.midi import read_midi
    from meloctl.rows.codec import encode
    from meloctl.rows.vocabulary import INSTRUMENT, NUMBER, default_vocabulary

    vocabulary = default_vocabulary()
    rows = encode(read_midi(path), vocabulary)[0].astype(np.int64)
    instrument = rows[:, INSTRUMENT]
    part = instrument * vocabulary.numbers + np.maximum(rows[:, NUMBER], 0)
    drums = np.unique(part[instrument == vocabulary.drums]).tolist()
    return cells_of_rows(np.cumsum(instrument == vocabulary.bar) - 1, part, drums)


def best_ms(function: Callable[[], Any], repeats: int) -> float:
    """The shortest of several runs, in milliseconds of this thread alone: what else runs on the machine counts little."""
    times = []
    for _ in range(repeats):
        start = time.thread_time()
        function()
        times.append(time.thread_time() - start)
    return 1e3 * min(times)


def fresh(cells: CellRows) -> CellRows:
    """The same cells, with nothing kept from earlier plans."""
    return CellRows(bar=cells.bar, part=cells.part, rows=cells.rows, drums=cells.drums)


def measured(name: str, spec_name: str, pieces: list[CellRows], *, by_offset: bool, repeats: int) -> dict[str, Any]:
    """One spec on some pieces: sums of work, mean of times."""
    spec = SPECS[spec_name]
    plans: list[Plan] = [plan(spec, cells, by_offset=by_offset) for cells in pieces]
    ms = [best_ms(lambda c=cells: plan(spec, fresh(c), by_offset=by_offset), repeats) for cells in pieces]
    dense = sum(p.dense_work for p in plans)
    return {
        "pieces": name,
        "rows": int(np.median([cells.n_rows for cells in pieces])),
        "spec": spec_name + (", by offset" if by_offset else ""),
        "plan_ms": round(float(np.mean(ms)), 2),
        "tiles": int(np.median([len(p.tiles) for p in plans])),
        "work_of_dense": round(sum(p.work for p in plans) / dense, 4),
        "cost_of_dense": round(sum(p.cost for p in plans) / dense, 4),
        "shown_of_dense": round(sum(t.shown for p in plans for t in p.tiles) / dense, 4),
        "plan": plans[0].decomposition if len(plans) == 1 else "",
    }


def kernel(heads: int, width: int) -> dict[str, float]:
    """The constants of `Costs` for PyTorch's flash kernel on one core, forward and backward, gathers and merge included.

    Time = entry · (tile + row · (N + M) + N·M · (masked or 1)), fitted by relative least squares over 17 shapes of tiles;
    the causal kernel is compared with what `causal_block` says.
    """
    import torch
    from scipy.optimize import nnls

    torch.set_num_threads(1)
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    length = 4096
    q, k, v, out, grad = (torch.randn(1, heads, length, width) for _ in range(5))
    lse = torch.zeros(1, heads, length)
    dq, dk, dv = (torch.zeros_like(q) for _ in range(3))

    def step(rows: torch.Tensor, keys: torch.Tensor, causal: bool, mask: torch.Tensor | None) -> None:
        o, l_tile = flash(q[:, :, rows], k[:, :, keys], v[:, :, keys], 0.0, causal, attn_mask=mask)
        if mask is not None:
            l_tile = l_tile.masked_fill((mask == -torch.inf).all(1), -torch.inf)
        old = lse[:, :, rows]
        total = torch.logaddexp(old, l_tile + 0.0)
        known = torch.where(total == -torch.inf, 0.0, total)
        out[:, :, rows] = out[:, :, rows] * (old - known).exp()[..., None] + o * (l_tile - known).exp()[..., None]
        lse[:, :, rows] = old
        total = (lse[:, :, rows] + 9.0).transpose(1, 2).contiguous().transpose(1, 2)  # (B, L, H) in memory
        g, merged = grad[:, :, rows].contiguous(), out[:, :, rows].contiguous()
        at = (q[:, :, rows], k[:, :, keys], v[:, :, keys])
        a, b, c = backward(g, *at, merged, total, 0.0, causal, attn_mask=mask)
        dq[:, :, rows] += a
        dk.index_add_(2, keys, b)
        dv.index_add_(2, keys, c)
        ((l_tile - total).exp() * (g * (o - merged)).sum(-1)).sum()  # the gradient of a gate

    def seconds(n: int, m: int, causal: bool, masked: bool) -> float:
        """Of one tile among others of other rows: what a tile needs is seldom in the cache. Its rows come 8 at a time, as
        those of cells do, 32 apart."""
        mask = torch.zeros(n, m) if masked else None
        starts = torch.randint(0, length, (24, 2)).tolist()
        rows, keys = (torch.arange(x) // 8 * 32 + torch.arange(x) % 8 for x in (n, m))
        tiles = [((rows + a) % length, (keys + b) % length) for a, b in starts]
        return best_ms(lambda: [step(rows, keys, causal, mask) for rows, keys in tiles], 3) / 1e3 / len(tiles)

    sizes = [(4, 4), (8, 16), *((n, m) for n in (8, 32, 64, 128, 256) for m in (64, 256, 1024))]
    shapes = [(n, m, masked) for n, m in sizes for masked in (False, True)]
    took = np.array([seconds(n, m, False, masked) for n, m, masked in shapes])
    terms = np.array([[1.0, n + m, n * m * (not masked), n * m * masked] for n, m, masked in shapes])
    fit, _ = nnls(terms / took[:, None], np.ones(len(took)))
    error = np.abs(terms @ fit / took - 1)
    whole, skipped = (seconds(1024, 1024, causal, False) for causal in (False, True))
    return {
        "entry_ns": round(1e9 * fit[2], 2),
        "tile": round(fit[0] / fit[2], 1),
        "row": round(fit[1] / fit[2], 2),
        "masked": round(fit[3] / fit[2], 3),
        "median_error": round(float(np.median(error)), 3),
        "causal_1024_of_whole": round(skipped / whole, 3),
        "causal_block_from_it": round(2 * 1024 * skipped / whole - 1024),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="MIDI files")
    parser.add_argument("--kernel", action="store_true", help="measure what a tile costs instead")
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--width", type=int, default=64, help="of a head")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.kernel:
        found = kernel(arguments.heads, arguments.width)
        print(json.dumps(found) if arguments.json else "\n".join(f"{name:22}{value}" for name, value in found.items()))
        return
    sets = {
        "10 parts, 250 bars, 4 rows a cell": [made_up(250, 10, 4)],
        "4 parts, 100 bars, 25 rows": [made_up(100, 4, 25)],
    }
    if arguments.folder:
        sets[arguments.folder.name] = []
        for path in sorted(arguments.folder.glob("*.mid")):
            try:
                sets[arguments.folder.name].append(cells_of_file(path))
            except MeloError as error:
                print(f"left out: {error}", file=sys.stderr)
    results = [
        measured(name, spec, pieces, by_offset=by_offset, repeats=arguments.repeats)
        for name, pieces in sets.items()
        if pieces
        for by_offset in (False, True)
        for spec in SPECS
    ]
    if arguments.json:
        print(json.dumps(results))
        return
    for r in results:
        print(f"{r['pieces']}, {r['rows']} rows, {r['spec']}: {r['plan_ms']} ms, {r['tiles']} tiles")
        print(f"    of dense causal: work {r['work_of_dense']}, cost {r['cost_of_dense']}, shown {r['shown_of_dense']}")
        print(f"    {r['plan']}" if r["plan"] else "", end="\n" if r["plan"] else "")


if __name__ == "__main__":
    main()
