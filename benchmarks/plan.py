"""How long it takes to plan a mask, how much work the plan leaves, and what a tile costs a kernel.

python benchmarks/plan.py                    made-up pieces of 10,000 rows, one core
python benchmarks/plan.py FOLDER             and the MIDI files of a folder
python benchmarks/plan.py --kernel           measures the constants of masks.tiling.kernel_costs.KernelCosts (needs torch)
python benchmarks/plan.py FOLDER --choices 2048     and whether the plans chosen for pieces cut there are the fastest
add --json for programs
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from analysis.errors import MeloError
from masks.spec import MASK_RELATIONS, MaskSpec
from masks.tiling.cell_rows import CellRows, cells_of_rows
from masks.tiling.plan import RUN_LENGTHS, TilePlan, decompositions, plan
from masks.tiling.tiles import Tile

MUSEFORMER = (1, 2, 4, 8, 12, 16, 24, 32)
SPECS = {
    "seed": MaskSpec(same="full", near=2, far=(4,), summaries=True),
    "seed, drums exempt": MaskSpec(same="full", near=2, far=(4,), drums="exempt", summaries=True),
    "window of 8 bars": MaskSpec(same=tuple(range(1, 9)), near=8, far=(), summaries=True),
    "Museformer": MaskSpec(same=MUSEFORMER, near=2, far=MUSEFORMER[2:], summaries=True),
    "causal": MaskSpec(same="full", near=10_000, far=(), summaries=False),
}


LENGTH = 2048
"""Rows that the tiles of `--kernel` are drawn from."""

TILES = 16
"""Of one shape, in one plan."""

Form = Literal["causal", "whole", "contiguous", "masked"]


def made_up(n_bars: int, n_parts: int, rows: int) -> CellRows:
    """A piece in which every part plays `rows` notes in every bar; part 1 is drums."""
    n = n_bars * n_parts
    bar, part = np.repeat(np.arange(n_bars), n_parts), np.tile(np.arange(n_parts), n_bars)
    return CellRows(bar=bar, part=part, rows=np.full(n, rows), drums=frozenset({1}))


def cells_of_file(path: Path) -> CellRows:
    """The cells of a MIDI file, as the model sees them."""
    from analysis.midi import read_midi
    from meloctl.rows.codec import encode
    from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, default_vocabulary

    vocabulary = default_vocabulary()
    rows = encode(read_midi(path), vocabulary)[0].astype(np.int64)
    instrument = rows[:, INSTRUMENT]
    part = instrument * vocabulary.instances + np.maximum(rows[:, INSTANCE], 0)
    drums = np.unique(part[instrument == vocabulary.drums]).tolist()
    return cells_of_rows(np.cumsum(instrument == vocabulary.bar) - 1, part, drums)


def best_ms(functions: Sequence[Callable[[], Any]], repeats: int) -> list[float]:
    """The shortest of several runs of each, in milliseconds of this thread alone: what else runs on the machine counts little.

    They take turns, so that a busy moment does not fall on one of them alone.
    """
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats):
        for function, taken in zip(functions, times, strict=True):
            start = time.thread_time()
            function()
            taken.append(time.thread_time() - start)
    return [1e3 * min(taken) for taken in times]


def uncached_plan(spec: MaskSpec, cells: CellRows) -> TilePlan:
    """A plan of cells without cached values."""
    return plan(spec, CellRows(bar=cells.bar, part=cells.part, rows=cells.rows, drums=cells.drums))


def measured(name: str, spec_name: str, pieces: list[CellRows], *, repeats: int) -> dict[str, Any]:
    """One spec on some pieces: sums of work, mean of times."""
    spec = SPECS[spec_name]
    plans: list[TilePlan] = [plan(spec, cells) for cells in pieces]
    ms = best_ms([partial(uncached_plan, spec, cells) for cells in pieces], repeats)
    dense = sum(p.dense_work for p in plans)
    return {
        "pieces": name,
        "rows": int(np.median([cells.n_rows for cells in pieces])),
        "spec": spec_name,
        "plan_ms": round(float(np.mean(ms)), 2),
        "tiles": int(np.median([len(p.tiles) for p in plans])),
        "work_of_dense": round(sum(p.work for p in plans) / dense, 4),
        "cost_of_dense": round(sum(p.cost for p in plans) / sum(plan(SPECS["causal"], c).cost for c in pieces), 4),
        "shown_of_dense": round(sum(t.n_pairs for p in plans for t in p.tiles) / dense, 4),
        "plan": plans[0].decomposition if len(plans) == 1 else "",
    }


def attention(tiles: Sequence[Tile], n_rows: int, heads: int, width: int) -> Callable[[], None]:
    """Attention under a plan, forward and backward, after a first run, which makes what all layers share."""
    import torch

    from meloctl.model.attention.tiled.plan import RowTilePlan
    from meloctl.model.attention.tiled.row_tile import row_tile

    row_tiles = tuple(row_tile(t.queries, t.keys, causal=t.causal, mask=t.mask()) for t in tiles)
    ready = RowTilePlan(n_queries=n_rows, n_keys=n_rows, tiles=row_tiles)
    q_LHD, k_LHD, v_LHD, grad_LHD = torch.randn(4, n_rows, heads, width)

    def both_ways() -> None:
        inputs = [x.detach().requires_grad_() for x in (q_LHD, k_LHD, v_LHD)]
        ready.attend(*inputs).backward(grad_LHD)

    both_ways()
    return both_ways


def equal_tiles(n: int, m: int, form: Form, random: np.random.Generator) -> list[Tile]:
    """Tiles of n queries and m keys, from somewhere among many cells of 8 rows: what a tile needs is seldom in the cache.

    Rows of the form "contiguous" are contiguous, those of the others are sampled.
    """
    n_cells = LENGTH // 8
    cells = CellRows(bar=np.arange(n_cells), part=np.zeros(n_cells, dtype=np.int64), rows=np.full(n_cells, 8))
    tiles = []
    for _ in range(TILES):
        queries, keys = (np.sort(random.choice(n_cells, x // 8, replace=False)) for x in (n, m))
        if form == "contiguous":
            queries, keys = (random.integers(n_cells - x // 8 + 1) + np.arange(x // 8) for x in (n, m))
        tiles.append(
            Tile(
                cells=cells,
                query_cells=queries,
                key_cells=queries if form == "causal" else keys,
                causal=form == "causal",
                visible=np.ones((len(MASK_RELATIONS), n_cells), dtype=np.bool_) if form == "masked" else None,
                n_queries=n,
                n_keys=m,
                n_pairs=n * m,
            )
        )
    return tiles


def kernel(heads: int, width: int, repeats: int) -> dict[str, float]:
    """The constants of `KernelCosts` for `TiledAttention` on one core, forward and backward.

    Plans of equal tiles, less a plan without tiles. Time = score · (tile + (gathered or contiguous) · (N + M) + N·M · (masked
    or 1)), fitted by relative least squares over 18 shapes; causal tiles are compared with what `causal_block` says.
    """
    import torch
    from scipy.optimize import nnls

    torch.set_num_threads(1)
    random = np.random.default_rng(0)

    def of_one(n: int, m: int, form: Form) -> float:
        plans = [equal_tiles(n, m, form, random), []]
        some, none = best_ms([attention(tiles, LENGTH, heads, width) for tiles in plans], repeats)
        return (some - none) / TILES

    sizes = [(n, m) for n in (16, 32, 48, 64, 128, 256) for m in (64, 256, 1024)]  # as plans of real pieces have them
    forms: tuple[Form, ...] = ("whole", "contiguous", "masked")
    shapes = [(n, m, form) for n, m in sizes for form in forms]
    took = np.array([of_one(*shape) for shape in shapes])
    rows, work = np.array([(n + m, n * m) for n, m, _ in shapes]).T
    near, hides = (np.array([form == which for *_, form in shapes]) for which in ("contiguous", "masked"))
    terms = np.stack([np.ones(len(rows)), rows * ~near, rows * near, work * ~hides, work * hides], axis=1)
    fit, _ = nnls(terms / took[:, None], np.ones(len(took)))
    error = np.abs(terms @ fit / took - 1)
    tile, gathered, contiguous, score, masked = fit
    blocks = [2 * (of_one(n, n, "causal") - tile - gathered * 2 * n) / (score * n) - n for n in (768, 1024, 1536)]
    return {
        "score_ns": round(1e6 * score, 1),
        "tile": round(tile / score),
        "gathered": round(gathered / score, 1),
        "contiguous": round(contiguous / score, 1),
        "masked": round(masked / score, 3),
        "causal_block": round(float(np.median(blocks))),
        "median_error": round(float(np.median(error)), 3),
    }


def choices(name: str, cells: CellRows, heads: int, width: int, repeats: int) -> list[dict[str, Any]]:
    """For each spec, is the plan that is chosen the fastest of all that might have been? Times as shares of a causal tile's."""
    import torch

    torch.set_num_threads(1)
    causal, out = plan(SPECS["causal"], cells), []
    for spec in ("seed", "window of 8 bars", "Museformer"):
        chosen = plan(SPECS[spec], cells)
        every = {
            tuple((g.in_words(), len(g.starts)) for g in groups): [tile for g in groups for tile in g.tiles()]
            for length in RUN_LENGTHS
            for groups in decompositions(SPECS[spec], cells, lengths=[length])
        }
        others = [tiles for tiles in every.values() if sum(t.work for t in tiles) < chosen.dense_work]
        runs = [attention(tiles, cells.n_rows, heads, width) for tiles in (causal.tiles, chosen.tiles, *others)]
        dense, own, *rest = best_ms(runs, repeats)
        out.append(
            {
                "piece": name,
                "rows": cells.n_rows,
                "spec": spec,
                "estimate": round(chosen.cost / causal.cost, 3),
                "chosen": round(own / dense, 3),
                "best": round(min(own, *rest) / dense, 3),
                "tried": len(others),
                "plan": chosen.decomposition,
            }
        )
    return out


def cut(cells: CellRows, n_rows: int) -> CellRows:
    """The first rows of a piece."""
    kept = cells.start < n_rows
    rows = np.minimum(cells.rows, n_rows - cells.start)[kept]
    return CellRows(bar=cells.bar[kept], part=cells.part[kept], rows=rows, drums=cells.drums)


def cells_of_folder(folder: Path) -> dict[str, CellRows]:
    """{name: cells} of its MIDI files; those that cannot be read are named on stderr."""
    found = {}
    for path in sorted(folder.glob("*.mid")):
        try:
            found[path.stem] = cells_of_file(path)
        except MeloError as error:
            print(f"left out: {error}", file=sys.stderr)
    return found


def text_lines(results: list[dict[str, Any]]) -> Iterator[str]:
    """Results of `measured` as lines of text."""
    for r in results:
        yield f"{r['pieces']}, {r['rows']} rows, {r['spec']}: {r['plan_ms']} ms, {r['tiles']} tiles"
        yield f"    of dense causal: work {r['work_of_dense']}, cost {r['cost_of_dense']}, shown {r['shown_of_dense']}"
        if r["plan"]:
            yield f"    {r['plan']}"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="MIDI files")
    parser.add_argument("--kernel", action="store_true", help="measure what a tile costs instead")
    parser.add_argument("--choices", type=int, metavar="ROWS", help="measure what was chosen, for pieces of the folder")
    parser.add_argument("--pieces", type=int, default=10, help="at most so many, drawn at random, for --choices")
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--width", type=int, default=64, help="of a head")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    heads, width, repeats = arguments.heads, arguments.width, arguments.repeats
    files = cells_of_folder(arguments.folder) if arguments.folder else {}
    if arguments.kernel:
        results = [kernel(heads, width, repeats)]
        lines = [f"{name:22}{value}" for name, value in results[0].items()]
    elif arguments.choices:
        long = {name: cells for name, cells in files.items() if cells.n_rows >= arguments.choices}
        drawn = np.random.default_rng(0).permutation(sorted(long))[: arguments.pieces].tolist()
        results = [
            r for name in drawn for r in choices(name, cut(long[name], arguments.choices), heads, width, repeats)
        ]
        lines = [
            f"{r['piece']}, {r['rows']} rows, {r['spec']}: {r['chosen']} of a causal tile's time, estimated {r['estimate']}, "
            f"best of {r['tried']} others {r['best']}: {r['plan']}"
            for r in results
        ]
    else:
        sets = {
            "10 parts, 250 bars, 4 rows a cell": [made_up(250, 10, 4)],
            "4 parts, 100 bars, 25 rows": [made_up(100, 4, 25)],
            **({arguments.folder.name: list(files.values())} if files else {}),
        }
        results = [measured(name, spec, cells, repeats=repeats) for name, cells in sets.items() for spec in SPECS]
        lines = list(text_lines(results))
    print(json.dumps(results) if arguments.json else "\n".join(lines))


if __name__ == "__main__":
    main()
