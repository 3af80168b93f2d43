"""Masks side by side on the pieces of a corpus: what each costs, how far it hears, how much of what is alike it shows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.offset_table_file import Curves
from masks.cost.block_occupancy import BlockGrid, block_occupancy
from masks.cost.row_pairs import PieceRows, RowPairs, mean_pairs
from masks.cost.similarity_recall import similarity_recall
from masks.describe import density, reach
from masks.rules.baselines import Drums, causal_mask, museformer_mask, random_mask, window_like
from masks.rules.budget import budget_mask
from masks.rules.seed import derive_mask
from masks.spec import MaskSpec
from masks.tiling.cell_rows import CellRows
from masks.tiling.plan import plan

LAYERS = (1, 2, 4)
"""After how many layers the reach is told."""

BLOCK_GRIDS = tuple(BlockGrid(rows=rows, part_major=part_major) for rows in (128, 64) for part_major in (False, True))
RANDOM_MASKS = 5
"""Random masks whose mean stands for chance."""

_EQUAL_COST = ("seed", "budget", "window", "random")


@dataclass(frozen=True, kw_only=True)
class MaskCost:
    """One mask (or the mean of several) on a corpus; means over pieces, each of which counts the same."""

    name: str
    masks: int
    """Of how many masks this is the mean."""

    density: float
    """Share of dense causal attention's pairs of rows that is shown."""

    similarity_recall: float
    """Share of the measured likeness that is shown: see `masks.cost.similarity_recall`."""

    blocks: tuple[float, ...]
    """Share of blocks touched, for each of BLOCK_GRIDS."""

    work: float
    """Score entries that kernels compute for the planned tiles, as a share of those for dense causal attention's plan."""

    reach: tuple[tuple[float, float], ...]
    """After each of LAYERS, how many of the offsets 0..32 are heard in one's own part, and in another."""

    @property
    def per_work(self) -> float:
        """Captured likeness for the work: 1 for dense causal attention, more for a mask that shows what is alike."""
        return self.similarity_recall / self.density

    def to_json(self) -> dict[str, Any]:
        """What `meloctl mask compare --json` prints of it."""
        return {
            "name": self.name,
            "masks": self.masks,
            "density": self.density,
            "similarity_recall": self.similarity_recall,
            "similarity_recall_per_work": self.per_work,
            "blocks": [
                {"rows": w.rows, "order": "part" if w.part_major else "bar", "occupied": share}
                for w, share in zip(BLOCK_GRIDS, self.blocks, strict=True)
            ],
            "work": self.work,
            "reach": [
                {"layers": n, "same": own, "cross": other} for n, (own, other) in zip(LAYERS, self.reach, strict=True)
            ],
        }


def rules_to_compare(
    curves: Curves, pieces: Sequence[PieceRows], *, random: np.random.Generator, drums: Drums = "masked"
) -> dict[str, list[MaskSpec]]:
    """{name: masks} of every rule; those of `budget`, `window` and `random` at the cost of the seed's rule's mask.

    Raises:
        MeloError: no offset ≥ 1 in one of the curves.
    """
    pairs = mean_pairs(pieces)
    seed = derive_mask(curves, drums=drums)
    return {
        "seed": [seed],
        "budget": [budget_mask(curves, pairs, share=density(seed, pairs), drums=drums)],
        "museformer": [museformer_mask(drums=drums)],
        "window": [window_like(seed, pairs)],
        "random": [random_mask(seed, pairs, random) for _ in range(RANDOM_MASKS)],
        "causal": [causal_mask()],
    }


def compare_masks(
    rules: Mapping[str, Sequence[MaskSpec]],
    curves: Curves,
    pieces: Sequence[PieceRows],
    *,
    on_mask: Callable[[], None] = lambda: None,
) -> list[MaskCost]:
    """How each rule's masks stand on the pieces; a rule of several masks is their mean. `on_mask` is called after each."""
    pairs, standings = mean_pairs(pieces), []
    for name, masks in rules.items():
        found = []
        for spec in masks:
            found.append(_standing(name, spec, curves, pieces, pairs))
            on_mask()
        standings.append(_mean(found))
    return standings


def table_lines(standings: Sequence[MaskCost]) -> list[str]:
    """A table for people, with what its columns mean."""
    width = max(6, *(len(s.name) for s in standings))
    lines = [
        f"{'':{width}}  of dense causal    likeness  128-row blocks  64-row blocks   heard after {_said(LAYERS)} layers",
        f"{'mask':{width}}   pairs  planned   shown   x   bar    part     bar    part    own part  other parts",
    ]
    for s in standings:
        shares = "  ".join(f"{100 * share:4.0f} %" for share in s.blocks)
        own, other = (" ".join(f"{heard[i]:2.0f}" for heard in s.reach) for i in (0, 1))
        lines.append(
            f"{s.name:{width}}  {100 * s.density:4.0f} %   {100 * s.work:4.0f} %  {100 * s.similarity_recall:4.0f} %"
            f"  {s.per_work:4.2f}  {shares}  {own:>8}  {other:>8}"
        )
    return [*lines, *_LEGEND]


_LEGEND = (
    "Pairs: of rows, that the mask shows. Planned: scores that the tiles of the fastest plan compute. Likeness: similarity",
    "above that of the least alike offset, times the pairs of notes it concerns; x: likeness shown for the pairs shown, 1 for",
    "dense causal. Blocks: those touched, rows sorted by bar or by part. Heard: offsets of 0 to 32, without summaries.",
    "random: the mean of its draws.",
)


def conclusion(standings: Sequence[MaskCost]) -> str:
    """What the numbers say, in one sentence: the rules of equal cost, best first, and whether the seed's beats chance."""
    by_name = {s.name: s for s in standings}
    equal = sorted((by_name[name] for name in _EQUAL_COST), key=lambda s: -s.similarity_recall)
    seed, chance = by_name["seed"], by_name["random"]
    run = ", ".join(f"{s.name} {100 * s.similarity_recall:.0f} %" for s in equal)
    verdict = (
        f"{seed.similarity_recall / chance.similarity_recall:.1f} times what chance shows"
        if seed.similarity_recall > chance.similarity_recall > 0
        else "no more than chance shows"
    )
    return (
        f"At the cost of the seed's mask ({100 * seed.density:.0f} % of dense causal attention's pairs of rows), "
        f"the measured likeness shown is: {run}; so the seed's mask shows {verdict}, and planned it takes "
        f"{100 * seed.work:.0f} % of dense causal attention's work"
        + (": on pieces as short as these it saves nothing." if seed.work >= NO_SAVING else ".")
    )


def planned_work(spec: MaskSpec, cells: Sequence[CellRows]) -> float:
    """Score entries that kernels compute for the planned tiles, as a share of those for dense causal attention's plan.

    The mean over pieces, at least one.
    """
    return float(np.mean([plan(spec, c).work / plan(_DENSE, c).work for c in cells]))


_DENSE = causal_mask()

NO_SAVING = 0.95
"""Planned work from which a mask saves nothing to speak of."""


def _standing(name: str, spec: MaskSpec, curves: Curves, pieces: Sequence[PieceRows], pairs: RowPairs) -> MaskCost:
    cells = [piece.cells() for piece in pieces]
    heard = [reach(spec, n) for n in LAYERS]
    return MaskCost(
        name=name,
        masks=1,
        density=density(spec, pairs),
        similarity_recall=similarity_recall(spec, curves, pairs),
        blocks=tuple(np.mean([block_occupancy(spec, c, BLOCK_GRIDS) for c in cells], axis=0).tolist()),
        work=planned_work(spec, cells),
        reach=tuple((len(h["same"]), len(h["cross"])) for h in heard),
    )


def _said(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"


def _mean(found: Sequence[MaskCost]) -> MaskCost:
    def mean(name: str) -> Any:
        return np.mean([getattr(s, name) for s in found], axis=0).tolist()

    return MaskCost(
        name=found[0].name,
        masks=len(found),
        density=mean("density"),
        similarity_recall=mean("similarity_recall"),
        blocks=tuple(mean("blocks")),
        work=mean("work"),
        reach=tuple((own, other) for own, other in mean("reach")),
    )
