"""What an attention kernel's tiles cost beside their score entries."""

from dataclasses import dataclass, replace

import numpy as np

from analysis.arrays import Bools, Floats, Ints


@dataclass(frozen=True, kw_only=True)
class KernelCosts:
    """What a kernel's tiles cost beside their score entries, in score entries.

    The defaults are PyTorch's flash kernel on one core of a CPU, 6 heads of width 64, forward and backward with gathers and
    merge: what `python benchmarks/plan.py --kernel` measures on equal tiles, rounded towards what whole plans of real pieces
    take (a score entry took 60 ns). Fewer heads or more cores make entries cheaper, so a tile is dearer: see `at`.
    """

    tile: float = 3000.0
    """Of each tile: the calls of its kernels."""

    gathered: float = 12.0
    """Of each query and key row, where a tile's queries (or keys) must be gathered, and their gradients be spread again."""

    together: float = 5.0
    """Of each, where they stand together and in order."""

    masked: float = 1.04
    """A score entry under a mask, against one without."""

    causal_block: int = 450
    """A causal kernel skips whole blocks of keys alone: a tile of n rows costs n (n + causal_block) / 2, or all n² of them."""

    def at(self, *, heads: int, width: int, threads: int) -> "KernelCosts":
        """The same where a score entry is of other heads, and computed by several threads: the calls themselves take as long.

        Args:
            heads: query heads.
            width: of one head.
            threads: of the kernel.
        """
        return replace(self, tile=self.tile * threads * 6 * 64 / (heads * width))

    def of_rectangles(self, n_queries: Ints, n_keys: Ints, gathered: Ints, masked: Bools) -> Floats:
        """Cost of each tile that is not causal; `gathered` of its rows do not stand together."""
        work = n_queries * n_keys * np.where(masked, self.masked, 1.0)
        return self._of_rows(n_queries + n_keys, gathered) + work

    def of_causal(self, n_rows: Ints, gathered: Ints) -> Floats:
        """Cost of each causal tile."""
        work = np.minimum(n_rows, (n_rows + self.causal_block) / 2) * n_rows
        return self._of_rows(2 * n_rows, gathered) + work

    def _of_rows(self, n_rows: Ints, gathered: Ints) -> Floats:
        return np.asarray(self.tile + self.gathered * gathered + self.together * (n_rows - gathered), dtype=np.float64)


CPU = KernelCosts()
