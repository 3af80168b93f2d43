"""Keys and values of the rows of several pieces that are written in step, every one kept.

Shape letters: Y layers, B pieces, H heads, n rows, D width of a head. An axis of two: keys, then values.
"""

from collections.abc import Sequence

from torch import Tensor

from meloctl.model.meloformer.kv_cache import room_for


class RowKVCache:
    """Of pieces that have equally many rows."""

    def __init__(self, like: Tensor) -> None:
        """Empty, of the type and shape (Y, 2, B, H, 0, D) of `like`."""
        self.kv = like
        self.rows = 0

    @property
    def nbytes(self) -> int:
        """Memory taken, room included."""
        return self.kv.nbytes

    def open(self) -> None:
        """See that there is a place for one row more."""
        held, room = self.kv, self.kv.shape[4]
        if self.rows == room:
            self.kv = held.new_empty(*held.shape[:4], room_for(room + 1), held.shape[5])
            self.kv[:, :, :, :, :room] = held
        self.rows += 1

    def add(self, layer: int, kv_B2HD: Tensor) -> Tensor:
        """(2, B, H, n, D) a layer's keys and values with those of the row that was opened last."""
        self.kv[layer, :, :, :, self.rows - 1] = kv_B2HD.transpose(0, 1)
        return self.kv[layer, :, :, :, : self.rows]

    def keep(self, chosen: Sequence[int]) -> None:
        """Go on with these pieces alone, in this order."""
        self.kv = self.kv[:, :, list(chosen)]
