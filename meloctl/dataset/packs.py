"""Windows → packs: several windows end to end as one sequence, with little or no padding.

Letters: N rows, W windows, F fields of a row.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from analysis.arrays import Bools, Ints
from analysis.errors import MeloError
from meloctl.dataset.windows import Middle, Window
from meloctl.rows.vocabulary import ABSENT, FIELDS, PITCH

SHUFFLE = 1 / 8
"""Largest noise, in pack lengths, added to lengths before they are sorted, so that each epoch packs other windows together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pack:
    """Some windows end to end; rows never attend across windows."""

    rows: Ints
    """(N, F) windows in generation order, then padding up to a fixed length, if any: ABSENT in every field."""

    starts: Ints
    """(W + 1,) where each window starts; the last entry is the number of real rows."""

    first_bar: Ints
    """(W,) first bar of each window, counted in its piece."""

    middles: tuple[Middle | None, ...] = ()
    """(W,) the middle of each infill window, None for the others; () where there are none."""

    plan_bars: Bools | None = None
    """(T,) which bars of the windows, window after window, are shown with their plan; None: none is."""

    @property
    def n_rows(self) -> int:
        """Rows without the padding."""
        return int(self.starts[-1])

    @property
    def loss_mask(self) -> Bools:
        """(N,) rows in the loss: all but padding, the first row of a window that does not open its piece, whose context is
        missing, and the rows of an infill window that say which bars are masked, which are always given."""
        loss_mask_N = np.arange(len(self.rows)) < self.n_rows
        loss_mask_N[self.starts[:-1]] &= self.first_bar == 0
        for start, middle in zip(self.starts.tolist(), self.middles, strict=False):
            if middle:
                loss_mask_N[[start + row for row in (*middle.masked_headers, middle.row)]] = False
        return loss_mask_N

    @property
    def n_notes(self) -> int:
        """Note rows."""
        return int((self.rows[:, PITCH] != ABSENT).sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrangement:
    """The windows of each pack."""

    window: Ints
    """(W,) every window's index once, in the order of the packs."""

    first: Ints
    """(P + 1,) where each pack starts in `window`; the last entry is W."""

    def __len__(self) -> int:
        return len(self.first) - 1

    def of(self, pack: int) -> Ints:
        """Indices of the windows of one pack."""
        return self.window[self.first[pack] : self.first[pack + 1]]


def pack_of(chosen: Sequence[Window], plan_bars: Bools | None = None) -> Pack:
    """The pack of one window or more, without padding.

    Args:
        chosen: the windows.
        plan_bars: see `Pack`.
    """
    return Pack(
        rows=np.concatenate([w.rows for w in chosen], dtype=np.int64),
        starts=np.concatenate([[0], np.cumsum([len(w.rows) for w in chosen])]).astype(np.int64),
        first_bar=np.array([w.first_bar for w in chosen], dtype=np.int64),
        middles=tuple(w.middle for w in chosen),
        plan_bars=plan_bars,
    )


def padded(pack: Pack, length: int) -> Pack:
    """The pack in exactly `length` rows, for kernels that are compiled for one length.

    Raises:
        ValueError: its real rows alone are more than `length`.
    """
    if pack.n_rows > length:
        raise ValueError(f"a pack of {pack.n_rows} rows does not fit into {length}")
    rows = np.full((length, len(FIELDS)), ABSENT, dtype=np.int64)
    rows[: pack.n_rows] = pack.rows[: pack.n_rows]
    return replace(pack, rows=rows)


def lengths_of(chosen: Sequence[Window]) -> Ints:
    """(W,) rows of each window."""
    return np.fromiter((len(w.rows) for w in chosen), dtype=np.int64, count=len(chosen))


def arrange(lengths: Ints, length: int, random: np.random.Generator | None = None) -> Arrangement:
    """Assign windows to packs of at most `length` rows: the longest first, each to the fullest pack that holds it.

    Best fit in falling order of length needs at most 11/9 of the fewest packs possible, plus a few (Johnson 1973). With
    `random`, lengths count as somewhat more than they are, each by another amount, so each draw puts others together, and the
    packs come in a random order. Without it the arrangement is always the same.

    Args:
        lengths: (W,) rows of each window, 1 or more.
        length: most rows of a pack.

    Raises:
        MeloError: a window is longer than a pack.
    """
    if len(lengths) and lengths.max() > length:
        raise MeloError(
            f"packs of {length:,} rows cannot hold a window of {lengths.max():,}; give at least so many rows"
        )
    size = lengths if random is None else lengths + random.uniform(0, SHUFFLE * length, len(lengths))
    order = np.argsort(-size, kind="stable")
    pack = _best_fit(lengths[order].tolist(), length)
    count = int(pack.max(initial=-1)) + 1
    if random is not None:
        pack = random.permutation(count)[pack]
    first = np.concatenate([[0], np.cumsum(np.bincount(pack, minlength=count))])
    return Arrangement(window=order[np.argsort(pack, kind="stable")], first=first.astype(np.int64))


def padding_share(n_rows: int, n_packs: int, length: int) -> float:
    """Share of padding, 0..1, when packs of `n_rows` real rows together are padded to `length` each."""
    return 1 - n_rows / (n_packs * length) if n_packs else 0.0


def _best_fit(lengths: list[int], length: int) -> Ints:
    """Pack of each window, in order: the fullest that still holds it, a new one where none does."""
    out = np.empty(len(lengths), dtype=np.int64)
    rooms: list[int] = []  # how much room packs have left, each amount once, ascending
    having: dict[int, list[int]] = {}  # packs with that much room
    count = 0
    for i, rows in enumerate(lengths):
        at = bisect_left(rooms, rows)
        if at == len(rooms):
            pack, room, count = count, length - rows, count + 1
        else:
            room = rooms[at]
            pack = having[room].pop()
            if not having[room]:
                del having[room], rooms[at]
            room -= rows
        out[i] = pack
        if room in having:
            having[room].append(pack)
        elif room:
            having[room] = [pack]
            insort(rooms, room)
    return out
