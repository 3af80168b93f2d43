"""The endless stream of training packs.

It is a function of (windows, length, seed, infill, plans): pack n is the same in whatever order and on whatever rank it is made.
"""

import threading
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from analysis.errors import MeloError
from meloctl.dataset.augment import augment
from meloctl.dataset.infill_windows import random_infill_window
from meloctl.dataset.packs import Arrangement, Pack, arrange, lengths_of, pack_of, padding_share
from meloctl.dataset.plan_bars import random_plan_bars
from meloctl.dataset.windows import Window
from meloctl.rows.vocabulary import Vocabulary


class PackStream:
    """Epoch after epoch, every window once an epoch, augmented, in a random order given by (seed, epoch).

    Packs are numbered from 0 through all epochs; each rank builds only its own packs.

    Args:
        chosen: one window or more.
        length: most rows of a pack.
        seed: 0 to 2^32 - 1.
        infill: share of windows that become infill windows, see `meloctl.dataset.infill_windows`.
        plans: share of windows that are shown with plans of their bars, see `meloctl.dataset.plan_bars`.

    Raises:
        MeloError: no window, or one that is longer than a pack.
    """

    def __init__(
        self,
        chosen: Sequence[Window],
        length: int,
        vocabulary: Vocabulary,
        *,
        seed: int,
        infill: float = 0.0,
        plans: float = 0.0,
    ) -> None:
        if not chosen:
            raise MeloError("no window to train on; give a corpus of more pieces")
        self._windows, self._length, self._vocabulary, self._seed = chosen, length, vocabulary, seed
        self._infill, self._plans, self._lengths = infill, plans, lengths_of(chosen)
        self._last = (0, self._arranged(0))
        self._first = [0, len(self._last[1])]  # first pack of each known epoch, and of the next
        self._counting = threading.Lock()  # the loader's thread extends self._first, and so can the main thread

    def arrangement(self, epoch: int) -> Arrangement:
        """The windows of each pack of an epoch."""
        known, arrangement = self._last
        if known != epoch:
            arrangement = self._arranged(epoch)
            self._last = (epoch, arrangement)
        return arrangement

    def first_of(self, epoch: int) -> int:
        """Number of an epoch's first pack, so the number of packs in the epochs before; arranges those once."""
        with self._counting:
            for e in range(len(self._first) - 1, epoch):
                self._first.append(self._first[-1] + len(self.arrangement(e)))
        return self._first[epoch]

    def epoch_of(self, n: int) -> int:
        """Epoch in which pack n lies."""
        while self._first[-1] <= n:
            self.first_of(len(self._first))
        return bisect_right(self._first, n) - 1

    def pack_at(self, n: int) -> Pack:
        """Pack n, without the packs before it."""
        epoch = self.epoch_of(n)
        index = n - self._first[epoch]
        # a generator of its own, so that the augmentation of a pack does not depend on who builds the others
        random = np.random.default_rng(np.random.SeedSequence((self._seed, epoch), spawn_key=(index,)))
        windows = [self._windows[i] for i in self.arrangement(epoch).of(index)]
        augmented = [Window(rows=augment(w.rows, self._vocabulary, random), first_bar=w.first_bar) for w in windows]
        windows = self._with_infill(augmented, random)
        shown = random_plan_bars(windows, self._plans, self._vocabulary, random) if self._plans else None
        return pack_of(windows, shown)

    @property
    def padding_share(self) -> float:
        """Share of padding in the first epoch when its packs are padded to the stream's length."""
        return padding_share(int(self._lengths.sum()), self._first[1], self._length)

    def _with_infill(self, windows: list[Window], random: np.random.Generator) -> list[Window]:
        """The windows, a share of them as infill windows; together they still fit into a pack."""
        if not self._infill:
            return windows
        room = self._length - int(lengths_of(windows).sum())
        for i, window in enumerate(windows):
            if random.random() < self._infill:
                windows[i] = random_infill_window(window, room, self._vocabulary, random)
                room -= len(windows[i].rows) - len(window.rows)
        return windows

    def _arranged(self, epoch: int) -> Arrangement:
        return arrange(self._lengths, self._length, np.random.default_rng((self._seed, epoch)))
