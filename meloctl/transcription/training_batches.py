"""Batches of mixes to train on, made ahead in a thread of their own; what one holds depends on the seed and its number alone."""

import copy
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import torch
from torch import Tensor

from analysis.errors import MeloError
from meloctl.transcription.constant_q import ConstantQ
from meloctl.transcription.network import TIME_STRIDE
from meloctl.transcription.sounds.mixes import Mix, draw_mix
from meloctl.transcription.sounds.stem_library import StemLibrary
from meloctl.transcription.transcription_targets import Targets, batch_targets

SoundName = Literal["all", "synthetic", "soundfonts", "additive"]
"""Which stems mixes are drawn from; "synthetic" leaves out real single notes."""

_AHEAD = 4
"""Batches that are made before they are wanted."""


class BatchOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the batches of a run are made of."""

    mixes: int = 4
    """Of a batch."""

    seconds: float = 5.0
    """Of a mix."""

    sounds: SoundName = "all"
    augment: bool = True


class TrainingBatch(NamedTuple):
    """B mixes."""

    magnitudes: Tensor
    """(B, 288, frames of the transform)."""

    targets: Targets


def chosen_stems(library: StemLibrary, sounds: SoundName) -> StemLibrary:
    """A library of some of the families of stems of another.

    Raises:
        MeloError: it has none.
    """
    chosen = copy.copy(library)
    chosen.places = [place for place in library.places if _is_of(sounds, place.family)]
    if not any(not place.drums for place in chosen.places):
        raise MeloError(f"{library.folder}: no stems of such sound", field="sounds", given=sounds)
    for name in ("groups", "melodic", "drums"):
        chosen.__dict__.pop(name, None)  # cached of the whole library
    return chosen


def _is_of(sounds: SoundName, family: str) -> bool:
    """Whether a choice of sound takes a family of stems."""
    is_real, is_additive = family == "packs", family == "additive"
    match sounds:
        case "all":
            return True
        case "synthetic":
            return not is_real
        case "soundfonts":
            return not (is_real or is_additive)
        case "additive":
            return is_additive


def as_batch(mixes: list[Mix], transform: ConstantQ) -> TrainingBatch:
    """The magnitudes and targets of mixes of one length."""
    with torch.no_grad():
        magnitudes = transform.magnitudes(torch.from_numpy(np.stack([mix.samples for mix in mixes])))
    frames = -(-magnitudes.shape[-1] // TIME_STRIDE)
    return TrainingBatch(magnitudes, batch_targets([mix.notes for mix in mixes], frames))


def drawn_batch(
    library: StemLibrary, transform: ConstantQ, options: BatchOptions, *, seed: int, number: int
) -> TrainingBatch:
    """The batch of a number."""
    rngs = [np.random.default_rng([seed, number, place]) for place in range(options.mixes)]
    mixes = [draw_mix(library, rng, options.seconds, augment=options.augment) for rng in rngs]
    return as_batch(mixes, transform)


@contextmanager
def batches_from(
    library: StemLibrary, options: BatchOptions, *, seed: int, first: int
) -> Iterator[Callable[[], TrainingBatch]]:
    """A function that gives the batches of the numbers `first`, `first` + 1, …, one a call.

    Args:
        library: the stems that mixes are drawn from.
        options: of the batches.
        seed: of all that is drawn.
        first: number of the first batch.
    """
    transform, chosen = ConstantQ(), chosen_stems(library, options.sounds)
    with ThreadPoolExecutor(1, "batches", initializer=lambda: torch.set_num_threads(1)) as pool:
        waiting: deque[Future[TrainingBatch]] = deque()
        number = first

        def following() -> TrainingBatch:
            nonlocal number
            while len(waiting) < _AHEAD:
                waiting.append(pool.submit(drawn_batch, chosen, transform, options, seed=seed, number=number))
                number += 1
            return waiting.popleft().result()

        try:
            yield following
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
