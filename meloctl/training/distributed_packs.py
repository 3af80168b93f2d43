"""The packs of each optimizer step, distributed over the ranks that train together.

A step is `packs` packs of the stream; pack i of a step goes to rank i % W. Every rank has equally many micro-batches, since all
ranks must join each collective: a rank without a pack left runs a copy of another's with loss weight 0.
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
    """One pack of a step on one rank."""

    index: int
    """Position of the pack in its step."""

    pack: Pack

    is_copy: bool
    """Whether another rank has the same pack, so that its loss counts 0 here."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StepBatch:
    """One optimizer step on one rank."""

    step: int
    """Steps before it."""

    epoch: int
    """Epoch of its first pack."""

    windows: tuple[Ints, ...]
    """Indices of the windows of each pack of the step, on whatever rank."""

    n_rows: int
    """Rows of all packs, without infill bar headers and padding."""

    micro_batches: tuple[MicroBatch, ...]
    """Of this rank."""


class DistributedPacks:
    """Splits a stream's packs into steps, and the packs of a step over W ranks.

    Args:
        chosen: the stream's windows.
        packs: packs of a step.
        accelerator: knows this rank and W.
        length: rows to which packs are padded; None leaves them as they are.
    """

    def __init__(
        self, stream: PackStream, chosen: Sequence[Window], *, packs: int, accelerator: Accelerator, length: int | None
    ) -> None:
        self._stream, self._packs, self._length = stream, packs, length
        self._rank, self._world = accelerator.process_index, accelerator.num_processes
        self._rows = lengths_of(chosen)

    @property
    def padding(self) -> float:
        """Share of padding among the rows of the first epoch's packs, 0..1; 0 where packs are not padded."""
        return 0.0 if self._length is None else self._stream.padding_share

    def step_batches(self, first: int = 0) -> Iterator[StepBatch]:
        """This rank's batch of step `first` and of every step after it, without end."""
        step = first
        while True:
            yield self.step_batch(step)
            step += 1

    def step_batch(self, step: int) -> StepBatch:
        """This rank's batch of one step."""
        packs = range(step * self._packs, (step + 1) * self._packs)
        windows = tuple(self._windows(n) for n in packs)
        places = range(self._rank, -(-self._packs // self._world) * self._world, self._world)
        return StepBatch(
            step=step,
            epoch=self._stream.epoch_of(packs[0]),
            windows=windows,
            n_rows=int(self._rows[np.concatenate(windows)].sum()),
            micro_batches=tuple(self._micro_batch(packs, place) for place in places),
        )

    def _windows(self, pack: int) -> Ints:
        epoch = self._stream.epoch_of(pack)
        return self._stream.arrangement(epoch).of(pack - self._stream.first_of(epoch))

    def _micro_batch(self, packs: range, place: int) -> MicroBatch:
        index = place % len(packs)
        pack = self._stream.pack_at(packs[index])
        return MicroBatch(
            index=index,
            pack=pack if self._length is None else padded(pack, self._length),
            is_copy=place >= len(packs),
        )
