"""WindowPlan: the tiles of one window; and the plans of a pack, made of those of its windows.

Keys of both plans of a pack are summaries first, then rows. Of the summaries only those of the segments of a window exist:

    rows' queries        → rows: what the mask shows             → summaries: those of earlier segments of the window
    summaries' queries   → summaries: its own and earlier ones   → rows: those of its segment

Shape letters: W windows, N rows of a pack, K key rows of a window.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from analysis.arrays import Ints
from meloctl.model.attention.tiled.plan import RowTilePlan
from meloctl.model.attention.tiled.row_tile import RowTile, shifted

_SUMMARY_MULTIPLE = 64
"""Summaries of a pack are padded to a multiple of so many, so that matrix products have few shapes; padding has no keys."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WindowPlan:
    """The tiles of one window, with rows and summaries counted from 0 in it."""

    n_rows: int
    n_summaries: int
    """Segments of the window; 0 where the model has no summaries."""

    rows_to_rows: tuple[RowTile, ...] = ()
    rows_to_summaries: tuple[RowTile, ...] = ()
    summaries_to_summaries: tuple[RowTile, ...] = ()
    summaries_to_rows: tuple[RowTile, ...] = ()
    rows_to_all: RowTile | None = None
    """Instead of `rows_to_summaries` and `rows_to_rows` where one tile is cheaper: keys are summaries, then rows."""

    summaries_to_all: RowTile | None = None
    """Instead of `summaries_to_summaries` and `summaries_to_rows`: keys are summaries, then rows."""

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        of_one_kind = self.rows_to_rows, self.rows_to_summaries, self.summaries_to_summaries, self.summaries_to_rows
        tiles = *(tile for tiles in of_one_kind for tile in tiles), self.rows_to_all, self.summaries_to_all
        return sum(tile.nbytes for tile in tiles if tile)


def pack_plans(windows: Sequence[WindowPlan], starts: Ints, n_rows: int) -> tuple[RowTilePlan, RowTilePlan]:
    """The plan of a pack whose queries are rows, and the one whose queries are summaries.

    Args:
        windows: W plans.
        starts: (W + 1,) first row of each window in the pack.
        n_rows: N, with padding, which has no keys.
    """
    n_summaries = -(-sum(w.n_summaries for w in windows) // _SUMMARY_MULTIPLE) * _SUMMARY_MULTIPLE
    rows: list[RowTile] = []
    summaries: list[RowTile] = []
    row_groups, summary_groups = [], []
    bar = 0  # first summary of the window
    for window, row in zip(windows, starts.tolist(), strict=False):
        row_groups.append(len(rows))
        summary_groups.append(len(summaries))
        first = n_summaries + row  # key of the window's first row
        keys_K = torch.cat([torch.arange(bar, bar + window.n_summaries), torch.arange(window.n_rows) + first])
        rows += [shifted(tile, queries=row, keys=keys_K) for tile in (window.rows_to_all,) if tile]
        summaries += [shifted(tile, queries=bar, keys=keys_K) for tile in (window.summaries_to_all,) if tile]
        rows += [shifted(tile, queries=row, keys=first) for tile in window.rows_to_rows]
        rows += [shifted(tile, queries=row, keys=bar) for tile in window.rows_to_summaries]
        summaries += [shifted(tile, queries=bar, keys=bar) for tile in window.summaries_to_summaries]
        summaries += [shifted(tile, queries=bar, keys=first) for tile in window.summaries_to_rows]
        bar += window.n_summaries
    n_keys = n_summaries + n_rows
    return (
        RowTilePlan(n_queries=n_rows, n_keys=n_keys, tiles=tuple(rows), groups=tuple(row_groups)),
        RowTilePlan(n_queries=n_summaries, n_keys=n_keys, tiles=tuple(summaries), groups=tuple(summary_groups)),
    )
