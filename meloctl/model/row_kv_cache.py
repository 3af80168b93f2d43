"""Keys and values of the rows of several pieces that are written in step; all are kept.

Shape letters: Y layers, B pieces, U distinct prompts, H heads, n rows, D width of a head. An axis of two: keys, then values.
"""

from collections.abc import Sequence

from torch import Tensor

from meloctl.model.meloformer.kv_cache import with_headroom


class RowKVCache:
    """Keys and values of pieces that have equally many rows."""

    def __init__(self, like: Tensor) -> None:
        """An empty cache, of the dtype and shape (Y, 2, B, H, 0, D) of `like`."""
        self.kv = like
        self.rows = 0

    @property
    def nbytes(self) -> int:
        """Bytes allocated, headroom included."""
        return self.kv.nbytes

    def append_rows(self, n: int = 1) -> None:
        """Add slots for `n` more rows of each piece; `write` fills them layer by layer."""
        before, room = self.kv, self.kv.shape[4]
        if self.rows + n > room:
            self.kv = before.new_empty(*before.shape[:4], with_headroom(self.rows + n), before.shape[5])
            self.kv[:, :, :, :, : self.rows] = before[:, :, :, :, : self.rows]
        self.rows += n

    def write(self, layer: int, kv_B2HD: Tensor) -> Tensor:
        """Keys and values (B, 2, H, D) of the newest row in one layer → (2, B, H, n, D) those of all rows in that layer."""
        self.kv[layer, :, :, :, self.rows - 1] = kv_B2HD.transpose(0, 1)
        return self.kv[layer, :, :, :, : self.rows]

    def write_prompts(self, layer: int, kv_2ULHD: Tensor, prompt_B: Sequence[int]) -> None:
        """Write keys and values of all rows in one layer.

        Args:
            kv_2ULHD: (2, U, n, H, D) of distinct prompts.
            prompt_B: which of them each piece begins with.
        """
        self.kv[layer, :, :, :, : self.rows] = kv_2ULHD.transpose(2, 3)[:, list(prompt_B)]

    def keep(self, chosen: Sequence[int]) -> None:
        """Keep these pieces alone, in this order."""
        self.kv = self.kv[:, :, list(chosen)]
