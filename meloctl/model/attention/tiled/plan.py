"""What one attention call computes, ready for a kernel: tiles as rows of tensors.

Shape letters: L query rows, M key rows, N and K rows of one tile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.arrays import Bools, Ints

Rows = Tensor | slice
"""Which rows of a tensor: a slice where they stand together, so that nothing is copied."""

_TALL = 256
"""Rows in a run of queries of a causal tile that must be given a bias."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RowTile:
    """A rectangle of queries and keys that one kernel call computes."""

    queries: Rows
    """(N,)"""

    keys: Rows
    """(K,)"""

    causal: bool
    """As many keys as queries: query i sees keys 0..i."""

    see: Tensor | None
    """(N, K) bool, True = may attend; None where nothing is hidden, or causal."""

    gate: Tensor | None = None
    """(N, K) uint8, the gate that each pair passes; hidden pairs hold any. None for pairs without gates."""

    @cached_property
    def blind(self) -> Tensor | None:
        """(N,) queries that see no key of this tile; None where there are none."""
        blind = None if self.see is None else ~self.see.any(dim=1)
        return None if blind is None or not blind.any() else blind

    @cached_property
    def hiding(self) -> Tensor | None:
        """(N, K) 0 where a pair is seen and −inf where it is hidden, made once for all layers; None where nothing is hidden."""
        return None if self.see is None else torch.zeros(self.see.shape).masked_fill_(~self.see, -torch.inf)

    @property
    def n_queries(self) -> int:
        """N."""
        return _count(self.queries)

    @property
    def n_keys(self) -> int:
        """K."""
        return _count(self.keys)

    @property
    def nbytes(self) -> int:
        """What its tensors hold."""
        tensors = (self.queries, self.keys, self.see, self.gate)
        return sum(x.nbytes for x in tensors if isinstance(x, Tensor))


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionPlan:
    """Tiles that show each pair (query, key) at most once. A query that sees no key at all attends to nothing and gives 0."""

    n_queries: int
    n_keys: int
    spans: tuple[RowTile, ...]

    def dense(self) -> Bools:
        """(L, M) bool, what is shown: what tests compare with a mask. Raises ValueError where a pair is shown twice."""
        shown = self._scattered(lambda _, shape: np.ones(shape, dtype=np.int64))
        if shown.max(initial=0) > 1:
            raise ValueError("a pair is shown twice")
        return shown > 0

    def dense_gates(self) -> Ints:
        """(L, M) the gate of each pair shown, −1 where there is none."""
        gates = self._scattered(
            lambda span, shape: np.zeros(shape) if span.gate is None else span.gate.numpy().astype(np.int64) + 1
        )
        return gates - 1

    def _scattered(self, values: Callable[[RowTile, tuple[int, int]], npt.NDArray[np.generic]]) -> Ints:
        """(L, M) the sum of what every tile says of the pairs that it shows."""
        out = np.zeros((self.n_queries, self.n_keys), dtype=np.int64)
        for span in self.spans:
            q, k = np.arange(self.n_queries)[_numpy(span.queries)], np.arange(self.n_keys)[_numpy(span.keys)]
            see = np.tri(len(q), len(k), dtype=np.bool_) if span.causal else np.ones((len(q), len(k)), dtype=np.bool_)
            if span.see is not None:
                see &= span.see.numpy()
            out[np.ix_(q, k)] += np.where(see, values(span, see.shape), 0).astype(np.int64)
        return out


def span(
    queries: Ints,
    keys: Ints,
    *,
    causal: bool = False,
    see: Bools | None = None,
    gate: npt.NDArray[np.uint8] | None = None,
) -> RowTile:
    """A tile from arrays of rows (N,), (K,), and matrices (N, K); see `RowTile`."""
    return RowTile(
        queries=together(queries),
        keys=together(keys),
        causal=causal,
        see=None if see is None or see.all() else torch.from_numpy(see),
        gate=None if gate is None else torch.from_numpy(gate),
    )


def moved(tile: RowTile, *, queries: int, keys: int) -> RowTile:
    """The same tile for rows that stand later by so many; what is made for one pack alone goes with it."""
    return replace(tile, queries=_later(tile.queries, queries), keys=_later(tile.keys, keys))


def placed(tile: RowTile, *, queries: int, keys: Tensor) -> RowTile:
    """The same tile for queries that stand later by so many, and keys (K,) that stand anywhere."""
    return replace(tile, queries=_later(tile.queries, queries), keys=keys)


def uncausal(queries: Ints, keys: Ints, gate: Callable[[int, int], npt.NDArray[np.uint8]]) -> Sequence[RowTile]:
    """A causal tile as runs of queries with all keys up to their last, for pairs with gates.

    Args:
        queries, keys: (N,) of the causal tile.
        gate: (queries from a to b, keys up to b) → their gates.
    """
    n = len(queries)
    runs = [(a, min(a + _TALL, n)) for a in range(0, n, _TALL)]
    return [span(queries[a:b], keys[:b], see=np.tri(b - a, b, k=a, dtype=np.bool_), gate=gate(a, b)) for a, b in runs]


def together(rows: Ints) -> Rows:
    """Rows as a slice, where they stand together and in order."""
    if len(rows) and (np.diff(rows) == 1).all():
        return slice(int(rows[0]), int(rows[-1]) + 1)
    return torch.from_numpy(rows)


def _later(rows: Rows, by: int) -> Rows:
    return slice(rows.start + by, rows.stop + by) if isinstance(rows, slice) else rows + by


def _count(rows: Rows) -> int:
    return rows.stop - rows.start if isinstance(rows, slice) else len(rows)


def _numpy(rows: Rows) -> slice | Ints:
    return rows if isinstance(rows, slice) else rows.numpy()
