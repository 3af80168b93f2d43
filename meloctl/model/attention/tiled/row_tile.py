"""RowTile: a rectangle of query rows and key rows that one call of the kernel computes, and its mask and gates.

Shape letters: N query rows and K key rows of a tile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.arrays import Bools, Ints

RowIndex = Tensor | slice
"""Rows of a tensor: a slice where they are consecutive, so that nothing is copied, else their int64 indices."""

QUERY_BLOCK = 32
"""Queries that the bf16 kernel computes together."""

_RUN_ROWS = 256
"""Queries in each of the masked tiles that replace a causal tile under gates."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RowTile:
    """N query rows, K key rows, and which of their pairs may attend."""

    queries: RowIndex
    """(N,) rows of q."""

    keys: RowIndex
    """(K,) rows of k and v."""

    causal: bool
    """N = K, and query i attends to keys 0..i; then there is neither mask nor gates."""

    mask: Tensor | None
    """(N, K) bool, True = may attend; None where all may, or causal."""

    gate: Tensor | None = None
    """(N, K) uint8, the gate that each pair passes, any for hidden pairs; None for pairs without gates."""

    @cached_property
    def without_keys(self) -> Tensor | None:
        """(N,) bool, queries that attend to no key of this tile; None where each attends to one."""
        empty = None if self.mask is None else ~self.mask.any(dim=1)
        return None if empty is None or not empty.any() else empty

    @cached_property
    def float_mask(self) -> Tensor | None:
        """(N, K) float32, 0 where a pair may attend, −inf where not; made once for all layers. None without a mask."""
        return None if self.mask is None else torch.zeros(self.mask.shape).masked_fill_(~self.mask, -torch.inf)

    @cached_property
    def key_ranges(self) -> npt.NDArray[np.int32]:
        """(blocks, 2): of each `QUERY_BLOCK` queries, low and high such that all keys they attend to are in low..high − 1."""
        firsts = np.arange(0, self.n_queries, QUERY_BLOCK)
        out = np.zeros((len(firsts), 2), dtype=np.int32)
        if self.causal:
            out[:, 1] = np.minimum(firsts + QUERY_BLOCK, self.n_keys)
        elif self.mask is None:
            out[:, 1] = self.n_keys
        else:
            any_BK = np.logical_or.reduceat(self.mask.numpy(), firsts, axis=0)
            some_B = any_BK.any(axis=1)
            out[:, 0] = np.where(some_B, any_BK.argmax(axis=1), 0)
            out[:, 1] = np.where(some_B, self.n_keys - any_BK[:, ::-1].argmax(axis=1), 0)
        return out

    @property
    def n_queries(self) -> int:
        """N."""
        return _length(self.queries)

    @property
    def n_keys(self) -> int:
        """K."""
        return _length(self.keys)

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        tensors = (self.queries, self.keys, self.mask, self.gate)
        return sum(x.nbytes for x in tensors if isinstance(x, Tensor))


def row_tile(
    queries: Ints,
    keys: Ints,
    *,
    causal: bool = False,
    mask: Bools | None = None,
    gate: npt.NDArray[np.uint8] | None = None,
) -> RowTile:
    """A tile from NumPy arrays; see `RowTile`.

    Args:
        queries, keys: (N,) and (K,) rows of q and of k.
        causal: N = K, and query i attends to keys 0..i.
        mask: (N, K) True = may attend; None where all may, or causal.
        gate: (N, K) gate that each pair passes; None for pairs without gates.
    """
    return RowTile(
        queries=row_index(queries),
        keys=row_index(keys),
        causal=causal,
        mask=None if mask is None or mask.all() else torch.from_numpy(mask),
        gate=None if gate is None else torch.from_numpy(gate),
    )


def shifted(tile: RowTile, *, queries: int, keys: int | Tensor) -> RowTile:
    """The same tile for other rows of q and k; what it has made for its kernel is not kept.

    Args:
        queries: added to its query rows.
        keys: added to its key rows, or, as a tensor (K,), the new key rows themselves.
    """
    moved = keys if isinstance(keys, Tensor) else _plus(tile.keys, keys)
    return replace(tile, queries=_plus(tile.queries, queries), keys=moved)


def masked_runs(queries: Ints, keys: Ints, gate: Callable[[int, int], npt.NDArray[np.uint8]]) -> Sequence[RowTile]:
    """A causal tile as tiles with a mask and gates: runs of queries, each with all keys up to its last query's.

    Args:
        queries, keys: (N,) and (N,) rows of the causal tile.
        gate: (a, b) → (b − a, b) uint8, the gates of queries a..b − 1 with keys 0..b − 1.
    """
    n = len(queries)
    runs = [(a, min(a + _RUN_ROWS, n)) for a in range(0, n, _RUN_ROWS)]
    return [
        row_tile(queries[a:b], keys[:b], mask=np.tri(b - a, b, k=a, dtype=np.bool_), gate=gate(a, b)) for a, b in runs
    ]


def row_index(rows: Ints) -> RowIndex:
    """Rows (N,) as a slice where they are consecutive and ascending, else as a tensor."""
    if len(rows) and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return torch.from_numpy(rows)


def _plus(rows: RowIndex, by: int) -> RowIndex:
    return slice(rows.start + by, rows.stop + by) if isinstance(rows, slice) else rows + by


def _length(rows: RowIndex) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)
