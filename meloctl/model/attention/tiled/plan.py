"""RowTilePlan: one attention call as tiles of rows. Shape letters: L query rows, M key rows, H and G heads, D their width."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.arrays import Bools, Ints
from meloctl.model.attention.tiled.bf16_kernel import WIDTH_MULTIPLE, Bf16Attention, FlatTiles, flat_tiles, has_kernel
from meloctl.model.attention.tiled.kernel import TiledAttention
from meloctl.model.attention.tiled.row_tile import RowIndex, RowTile


@dataclass(frozen=True, kw_only=True, eq=False)
class RowTilePlan:
    """Tiles that hold each pair (query, key) that may attend exactly once; an `AttentionPlan`."""

    n_queries: int
    """L."""

    n_keys: int
    """M."""

    tiles: tuple[RowTile, ...]

    groups: tuple[int, ...] = (0,)
    """First tile of each group of tiles; no two groups share a query or a key."""

    @cached_property
    def flat(self) -> FlatTiles:
        """The tiles as the bf16 kernel reads them."""
        return flat_tiles(self.tiles, self.groups)

    def attend(self, q_LHD: Tensor, k_MGD: Tensor, v_MGD: Tensor, biases_E: Tensor | None = None) -> Tensor:
        """(L, H, D) attention on a CPU; see `AttentionPlan.attend`.

        Args:
            q_LHD, k_MGD, v_MGD: queries, keys and values; H is a multiple of G.
            biases_E: score bias of each gate; None ignores gates.
        """
        if q_LHD.dtype is torch.bfloat16 and biases_E is None and q_LHD.shape[2] % WIDTH_MULTIPLE == 0 and has_kernel():
            dense = (_rows_side_by_side(x) for x in (q_LHD, k_MGD, v_MGD))
            return cast(Tensor, Bf16Attention.apply(*dense, self.flat))
        # PyTorch's flash kernel for CPUs takes twice as long to go back through tiles of bf16 as through the same in float32
        wide = torch.promote_types(q_LHD.dtype, torch.float32)
        out: Tensor = TiledAttention.apply(q_LHD.to(wide), k_MGD.to(wide), v_MGD.to(wide), biases_E, self.tiles)
        return out.to(q_LHD.dtype)

    def to(self, _device: torch.device) -> Self:
        """Itself: tiles are for CPUs."""
        return self

    def dense(self) -> Bools:
        """(L, M) bool, True = may attend.

        Raises:
            ValueError: two tiles hold the same pair.
        """
        count_LM = self._summed(lambda _, shape: np.ones(shape, dtype=np.int64))
        if count_LM.max(initial=0) > 1:
            raise ValueError("two tiles hold the same pair")
        return count_LM > 0

    def dense_gates(self) -> Ints:
        """(L, M) the gate of each pair that may attend, −1 where there is none."""
        gates_LM = self._summed(
            lambda tile, shape: np.zeros(shape) if tile.gate is None else tile.gate.numpy().astype(np.int64) + 1
        )
        return gates_LM - 1

    def _summed(self, values: Callable[[RowTile, tuple[int, int]], npt.NDArray[np.generic]]) -> Ints:
        """(L, M) sum over tiles of their values (N, K) at pairs that may attend."""
        out = np.zeros((self.n_queries, self.n_keys), dtype=np.int64)
        for tile in self.tiles:
            q, k = np.arange(self.n_queries)[_numpy(tile.queries)], np.arange(self.n_keys)[_numpy(tile.keys)]
            mask = np.tri(len(q), len(k), dtype=np.bool_) if tile.causal else np.ones((len(q), len(k)), dtype=np.bool_)
            if tile.mask is not None:
                mask &= tile.mask.numpy()
            out[np.ix_(q, k)] += np.where(mask, values(tile, mask.shape), 0).astype(np.int64)
        return out


def _rows_side_by_side(x_NHD: Tensor) -> Tensor:
    """The same, with the numbers of a row side by side in memory, and rows at even places."""
    n, heads, width = x_NHD.shape
    dense = x_NHD.stride(2) == 1 and x_NHD.stride(1) == width
    return x_NHD if dense and x_NHD.stride(0) % 2 == 0 and x_NHD.storage_offset() % 2 == 0 else x_NHD.contiguous()


def _numpy(rows: RowIndex) -> slice | Ints:
    return rows if isinstance(rows, slice) else rows.numpy()
