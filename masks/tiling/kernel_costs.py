"""What an attention kernel's tiles cost beyond computing their scores."""

from dataclasses import dataclass, replace

import numpy as np

from analysis.arrays import Bools, Floats, Ints


@dataclass(frozen=True, kw_only=True)
class KernelCosts:
    """Costs of a kernel's tiles, in scores: 1 is the time in which the kernel computes one attention score.

    The defaults are PyTorch's flash kernel on one core of a CPU, 6 heads of width 64, forward and backward with gathers and
    merge: what `python benchmarks/plan.py --kernel` measures on equal tiles, rounded towards what whole plans of real pieces
    take (a score took 60 ns). Fewer heads or more cores make scores cheaper, so a tile costs more of them: see `at`.
    """

    tile: float = 3000.0
    """Per tile: the calls of its kernels."""

    gathered: float = 12.0
    """Per query and key row where a tile's queries (or keys) must be gathered, and their gradients scattered."""

    contiguous: float = 5.0
    """Per query and key row where they are contiguous."""

    masked: float = 1.04
    """Per score under a mask; 1 without one."""

    causal_block: int = 450
    """A causal kernel skips whole blocks of keys alone: a tile of n rows costs n (n + causal_block) / 2, at most n²."""

    skips: bool = False
    """Does the kernel skip, for each few queries, the keys before the first and behind the last that they attend to?"""

    def at(self, *, heads: int, width: int, threads: int) -> "KernelCosts":
        """The costs where scores are of other heads and computed by several threads: the calls themselves take as long.

        Args:
            heads: query heads.
            width: of one head.
            threads: of the kernel.
        """
        return replace(self, tile=self.tile * threads * 6 * 64 / (heads * width))

    def of_rectangles(self, n_queries: Ints, n_keys: Ints, gathered: Ints, masked: Bools) -> Floats:
        """Cost of tiles that are not causal.

        Args:
            n_queries: (N,) query rows of each tile.
            n_keys: (N,) key rows.
            gathered: (N,) how many of both must be gathered.
            masked: (N,) True where the tile needs a mask.

        Returns:
            (N,) costs.
        """
        work = n_queries * n_keys * np.where(masked, self.masked, 1.0)
        return self._of_rows(n_queries + n_keys, gathered) + work

    def of_causal(self, n_rows: Ints, gathered: Ints) -> Floats:
        """Cost of causal tiles.

        Args:
            n_rows: (N,) rows of each tile, which are its queries and its keys.
            gathered: (N,) query and key rows that must be gathered.

        Returns:
            (N,) costs.
        """
        work = np.minimum(n_rows, (n_rows + self.causal_block) / 2) * n_rows
        return self._of_rows(2 * n_rows, gathered) + work

    def _of_rows(self, n_rows: Ints, gathered: Ints) -> Floats:
        cost = self.tile + self.gathered * gathered + self.contiguous * (n_rows - gathered)
        return np.asarray(cost, dtype=np.float64)


CPU = KernelCosts()

CPU_BF16 = KernelCosts(tile=700.0, gathered=18.0, contiguous=18.0, masked=1.05, causal_block=48, skips=True)
"""Our kernel for bf16 on one core, 4 heads of width 64 (a score takes 22 ns) or 6 of 32 (18 ns), forward and backward. Rows are
gathered in any case, so where they lie costs nothing; packing them for products does."""
