"""Who takes which pack: the packs of a step, dealt to the processes that share it.

A step is `packs` packs of the stream; pack i of it goes to process i % W. Every process takes equally many turns, since all of
them meet in each; where there is no pack left for one, it goes along with another's, unheard.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from accelerate import Accelerator

from analysis.arrays import Ints
from meloctl.dataset.packs import Pack, lengths_of, padded
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Window


@dataclass(frozen=True, kw_only=True, eq=False)
class MicroBatch:
    """One pack of a step, as one process takes it."""

    index: int
    """Which of the step's packs."""

    pack: Pack

    heard: bool
    """False where another process's pack is only gone along with."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StepBatch:
    """One step, as one process sees it."""

    step: int
    """Steps before it."""

    epoch: int
    """In which its first pack lies."""

    windows: tuple[Ints, ...]
    """Of each pack, whoever takes it, the indices of its windows."""

    n_rows: int
    """Of all packs, without rows that reopen bars."""

    turns: tuple[MicroBatch, ...]
    """This process's."""


class DistributedPacks:
    """Deals a stream's packs to one of W processes, step after step.

    Args:
        chosen: the stream's windows.
        packs: of a step.
        accelerator: says which process this is, and of how many.
        length: pad packs to so many rows; None leaves them as they are.
    """

    def __init__(
        self, stream: PackStream, chosen: Sequence[Window], *, packs: int, accelerator: Accelerator, length: int | None
    ) -> None:
        self._stream, self._packs, self._length = stream, packs, length
        self._rank, self._world = accelerator.process_index, accelerator.num_processes
        self._rows = lengths_of(chosen)

    @property
    def padding(self) -> float:
        """Share of the rows of the first epoch's packs that is padding, 0..1; 0 where packs are not padded."""
        return 0.0 if self._length is None else self._stream.padding_share

    def deals(self, first: int = 0) -> Iterator[StepBatch]:
        """This process's part of each step from a step on, without end."""
        step = first
        while True:
            yield self.deal(step)
            step += 1

    def deal(self, step: int) -> StepBatch:
        """This process's part of one step."""
        numbers = range(step * self._packs, (step + 1) * self._packs)
        windows = tuple(self._windows(n) for n in numbers)
        places = range(self._rank, -(-self._packs // self._world) * self._world, self._world)
        return StepBatch(
            step=step,
            epoch=self._stream.epoch_of(numbers[0]),
            windows=windows,
            n_rows=int(self._rows[np.concatenate(windows)].sum()),
            turns=tuple(self._turn(numbers, place) for place in places),
        )

    def _windows(self, number: int) -> Ints:
        epoch = self._stream.epoch_of(number)
        return self._stream.arrangement(epoch).of(number - self._stream.first_of(epoch))

    def _turn(self, numbers: range, place: int) -> MicroBatch:
        index = place % len(numbers)
        pack = self._stream.pack_at(numbers[index])
        return MicroBatch(
            index=index,
            pack=pack if self._length is None else padded(pack, self._length),
            heard=place < len(numbers),
        )
