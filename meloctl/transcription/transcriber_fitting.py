"""Everything in a transcriber's header but its network's sizes, fitted on mixes: how posteriors are read and notes divided."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from meloctl.transcription.constant_q import ConstantQ
from meloctl.transcription.network import Transcriber
from meloctl.transcription.note_decoding import DecodingThresholds
from meloctl.transcription.note_scores import note_score
from meloctl.transcription.part_fitting import PartExample, count_score, fitted_parts, mean_separated_f, part_example
from meloctl.transcription.part_weights import PartWeights
from meloctl.transcription.sounds.mixes import draw_mix
from meloctl.transcription.sounds.stem_library import StemLibrary
from meloctl.transcription.transcriber_validation import (
    FoundPosteriors,
    ValidationMix,
    fitted_thresholds,
    posteriors_of,
    validation_mixes,
)

_VALIDATION_WEIGHT = 2.0
_DRAWN_PARTS = (1, 2, 3, 4, 5)
_DRAWN_SECONDS = 18.0


@dataclass(frozen=True, kw_only=True)
class FittedReading:
    """How the posteriors of a network are read."""

    thresholds: DecodingThresholds
    parts: PartWeights
    quality: dict[str, Any]
    """F of notes, separated F and the share of right numbers of parts, by the number of parts, in validation mixes."""


def fitted_reading(network: Transcriber, held_out: StemLibrary, library: StemLibrary, count: int) -> FittedReading:
    """What fits best.

    Thresholds are fitted on mixes of the validation split alone. What divides notes is fitted on these, which count double, and
    on mixes of training stems: the validation split has few instruments, and none that plays chords.

    Args:
        network: in evaluation mode.
        held_out: stems of the validation split.
        library: stems of the training split.
        count: mixes of each number of parts from either.
    """
    mixes = validation_mixes(held_out, count)
    found = posteriors_of(network, mixes)
    thresholds = fitted_thresholds(found, mixes)
    examples = _examples(found, mixes, thresholds, _VALIDATION_WEIGHT)
    drawn = _drawn_mixes(library, count)
    others = _examples(posteriors_of(network, drawn), drawn, thresholds, 1.0)
    parts = fitted_parts(examples + others)
    quality = {
        "validation_f": _by_parts(
            mixes, [note_score(m.notes, e.notes).f for m, e in zip(mixes, examples, strict=True)]
        ),
        "validation_separated_f": {
            str(k): round(mean_separated_f([e for e in examples if e.parts == k], parts.cost), 4)
            for k in sorted({e.parts for e in examples})
        },
        "validation_number_of_parts": _numbers_right(examples, others, parts),
    }
    return FittedReading(thresholds=thresholds, parts=parts, quality=quality)


def _examples(
    found: Sequence[FoundPosteriors], mixes: Sequence[ValidationMix], thresholds: DecodingThresholds, weight: float
) -> list[PartExample]:
    return [
        part_example(mix.notes.take(mix.notes.onset >= 0), posteriors.decoded(thresholds), mix.parts, weight)
        for posteriors, mix in zip(found, mixes, strict=True)
    ]


def _drawn_mixes(library: StemLibrary, count: int) -> list[ValidationMix]:
    """`count` mixes of each of 1 to 5 parts, drawn as for training; parts that happen to be silent do not count."""
    rng, transform = np.random.default_rng(0), ConstantQ()
    mixes = []
    with torch.no_grad():
        for parts in _DRAWN_PARTS:
            for _ in range(count):
                mix = draw_mix(library, rng, _DRAWN_SECONDS, parts=parts)
                sounding = len(np.unique(mix.notes.part))
                if sounding:
                    magnitudes = transform.magnitudes(torch.from_numpy(mix.samples)[None])[0]
                    mixes.append(ValidationMix(magnitudes, mix.notes, sounding))
    return mixes


def _by_parts(mixes: Sequence[ValidationMix], values: Sequence[float]) -> dict[str, float]:
    grouped: dict[int, list[float]] = defaultdict(list)
    for mix, value in zip(mixes, values, strict=True):
        grouped[mix.parts].append(value)
    return {str(parts): round(float(np.mean(of_one)), 4) for parts, of_one in sorted(grouped.items())}


def _numbers_right(
    examples: Sequence[PartExample], others: Sequence[PartExample], parts: PartWeights
) -> dict[str, float]:
    """{number of parts: share of validation mixes in which it was found} by rules that were fitted on the other mixes."""
    score = count_score(examples, others, parts.cost)
    return {str(k + 1): round(float(share), 4) for k, share in enumerate(score.right)}
