"""Masks side by side on the pieces of a corpus: cost, receptive field, and share of the measured similarity that is shown."""

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
"""Layers after which the receptive field is given."""

BLOCK_GRIDS = tuple(BlockGrid(rows=rows, part_major=part_major) for rows in (128, 64) for part_major in (False, True))
RANDOM_MASKS = 5
"""Random masks whose mean is the baseline of chance."""

_EQUAL_COST = ("seed", "budget", "window", "random")


@dataclass(frozen=True, kw_only=True)
class MaskCost:
    """Cost and benefit of one mask (or the mean of several) on a corpus: means over pieces, each of equal weight."""

    name: str
    masks: int
    """Masks of which this is the mean."""

    density: float
    """Share of dense causal attention's pairs of rows that the mask shows, 0..1."""

    similarity_recall: float
    """Share of the measured similarity that the mask shows, 0..1: see `masks.cost.similarity_recall`."""

    blocks: tuple[float, ...]
    """Block occupancy for each of BLOCK_GRIDS: see `masks.cost.block_occupancy`."""

    planned_work: float
    """Scores that kernels compute for the planned tiles, as a share of those for dense causal attention's plan."""

    reach: tuple[tuple[float, float], ...]
    """After each of LAYERS, how many of the offsets 0..32 the receptive field holds: (in the own part, in another part)."""

    @property
    def recall_per_density(self) -> float:
        """Similarity recall divided by density: 1 for dense causal attention, more for a mask that prefers similar offsets."""
        return self.similarity_recall / self.density

    def to_json(self) -> dict[str, Any]:
        """An entry of `masks` in `meloctl mask compare --json`."""
        return {
            "name": self.name,
            "masks": self.masks,
            "density": self.density,
            "similarity_recall": self.similarity_recall,
            "recall_per_density": self.recall_per_density,
            "blocks": [
                {"rows": w.rows, "order": "part" if w.part_major else "bar", "occupied": share}
                for w, share in zip(BLOCK_GRIDS, self.blocks, strict=True)
            ],
            "planned_work": self.planned_work,
            "reach": [
                {"layers": n, "same": own, "cross": other} for n, (own, other) in zip(LAYERS, self.reach, strict=True)
            ],
        }


def rules_to_compare(
    curves: Curves, pieces: Sequence[PieceRows], *, random: np.random.Generator, drums: Drums = "masked"
) -> dict[str, list[MaskSpec]]:
    """The masks of every rule; those of `budget`, `window` and `random` at the cost of the seed rule's mask.

    Args:
        curves: similarity by offset.
        pieces: the pieces on which masks are costed.
        random: samples the offsets of the random masks.
        drums: what every mask shows between drums and other parts.

    Returns:
        {rule: masks}

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
    """The cost of each rule's masks on the pieces; the mean where a rule has several.

    Args:
        rules: {name: masks}
        curves: similarity by offset.
        pieces: the pieces on which masks are costed.
        on_mask: called after each mask.
    """
    pairs, costs = mean_pairs(pieces), []
    for name, masks in rules.items():
        found = []
        for spec in masks:
            found.append(_cost(name, spec, curves, pieces, pairs))
            on_mask()
        costs.append(_mean(found))
    return costs


def table_lines(costs: Sequence[MaskCost]) -> list[str]:
    """The costs as the lines of a table, followed by what its columns mean."""
    width = max(6, *(len(s.name) for s in costs))
    lines = [
        f"{'':{width}}  of dense causal   similarity  128-row blocks  64-row blocks   reach after {_listed(LAYERS)} layers",
        f"{'mask':{width}}   pairs  planned  recall  x   bar    part     bar    part    own part  other parts",
    ]
    for s in costs:
        shares = "  ".join(f"{100 * share:4.0f} %" for share in s.blocks)
        own, other = (" ".join(f"{counts[i]:2.0f}" for counts in s.reach) for i in (0, 1))
        lines.append(
            f"{s.name:{width}}  {100 * s.density:4.0f} %   {100 * s.planned_work:4.0f} %  {100 * s.similarity_recall:4.0f} %"
            f"  {s.recall_per_density:4.2f}  {shares}  {own:>8}  {other:>8}"
        )
    return [*lines, *_LEGEND]


_LEGEND = (
    "Pairs: of rows, that the mask shows. Planned: scores that the tiles of the fastest plan compute. Similarity recall:",
    "share of the measured similarity that the mask shows (above the least similar offset's, by pairs of notes); x: recall",
    "divided by pairs, 1 for dense causal. Blocks: those touched, rows sorted by bar or by part. Reach: offsets of 0 to 32 in",
    "the receptive field, without summaries. random: the mean of its masks.",
)


def conclusion(costs: Sequence[MaskCost]) -> str:
    """What the numbers say, in one sentence: the rules of equal cost, best first, and whether the seed's beats chance."""
    by_name = {s.name: s for s in costs}
    equal = sorted((by_name[name] for name in _EQUAL_COST), key=lambda s: -s.similarity_recall)
    seed, chance = by_name["seed"], by_name["random"]
    recalls = ", ".join(f"{s.name} {100 * s.similarity_recall:.0f} %" for s in equal)
    against_chance = (
        f"{seed.similarity_recall / chance.similarity_recall:.1f} times what chance shows"
        if seed.similarity_recall > chance.similarity_recall > 0
        else "no more than chance shows"
    )
    return (
        f"At the cost of the seed's mask ({100 * seed.density:.0f} % of dense causal attention's pairs of rows), "
        f"similarity recall is: {recalls}; so the seed's mask shows {against_chance}, and planned it takes "
        f"{100 * seed.planned_work:.0f} % of dense causal attention's work"
        + (": on pieces as short as these it saves nothing." if seed.planned_work >= NO_SAVING else ".")
    )


def planned_work(spec: MaskSpec, cells: Sequence[CellRows]) -> float:
    """Scores that kernels compute for the planned tiles, as a share of those for dense causal attention's plan.

    Args:
        spec: the mask.
        cells: of each piece, at least one; the share is the mean over pieces.
    """
    return float(np.mean([plan(spec, c).work / plan(_DENSE, c).work for c in cells]))


_DENSE = causal_mask()

NO_SAVING = 0.95
"""Planned work from which a mask saves nothing to speak of."""


def _cost(name: str, spec: MaskSpec, curves: Curves, pieces: Sequence[PieceRows], pairs: RowPairs) -> MaskCost:
    cells = [piece.cells() for piece in pieces]
    fields = [reach(spec, n) for n in LAYERS]
    return MaskCost(
        name=name,
        masks=1,
        density=density(spec, pairs),
        similarity_recall=similarity_recall(spec, curves, pairs),
        blocks=tuple(np.mean([block_occupancy(spec, c, BLOCK_GRIDS) for c in cells], axis=0).tolist()),
        planned_work=planned_work(spec, cells),
        reach=tuple((len(f["same"]), len(f["cross"])) for f in fields),
    )


def _listed(numbers: Sequence[int]) -> str:
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
        planned_work=mean("planned_work"),
        reach=tuple((own, other) for own, other in mean("reach")),
    )
