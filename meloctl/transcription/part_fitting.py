"""All that divides notes among parts, fitted on mixes whose parts are known: the cost, the number of parts, the confidence."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from scipy.optimize import linear_sum_assignment, minimize

from analysis.arrays import Floats, Ints
from meloctl.transcription.clustering import divided, margins
from meloctl.transcription.note_scores import partners
from meloctl.transcription.notes import NO_PART, NoteTable
from meloctl.transcription.number_of_parts import count_features
from meloctl.transcription.part_weights import Calibration, CostWeights, CountRule, PartWeights

_GRID = {
    "overlap": (0.1, 0.2, 0.3, 0.45, 0.6),
    "octave": (0.04, 0.08, 0.12, 0.2, 0.35),
    "register_s": (1.0, 2.0, 4.0),
    "start_octave": (0.15, 0.3, 0.6),
}
"""Values that are tried of each weight of the cost."""

_SHRINKAGE = 0.004
"""Of the weights of the count's standardised features: a penalty a square."""

_FOLDS = 5


@dataclass(frozen=True, eq=False)
class PartExample:
    """The notes that were found in a mix, and to which part each belongs."""

    notes: NoteTable
    """With embeddings; their own parts do not count."""

    true_part: Ints
    """(N,) part of the note that was played, `NO_PART` for a note that was not."""

    played: int
    """Notes of the mix."""

    parts: int
    """Of the mix."""

    weight: float = 1.0
    """How much the mix counts."""


@dataclass(frozen=True)
class CountScore:
    """How often a number of parts was found, over mixes that were left out of the fit in turn."""

    confusion: Ints
    """(K, 9) mixes of 1 to K parts by the number that was found; column 0 stays empty."""

    @property
    def right(self) -> Floats:
        """(K,) shares of mixes whose number was found."""
        parts = np.arange(len(self.confusion))
        return np.asarray(self.confusion[parts, parts + 1] / np.maximum(self.confusion.sum(1), 1))

    @property
    def error(self) -> Floats:
        """(K,) mean absolute differences."""
        difference = np.abs(np.arange(self.confusion.shape[1]) - np.arange(1, len(self.confusion) + 1)[:, None])
        return np.asarray((difference * self.confusion).sum(1) / np.maximum(self.confusion.sum(1), 1))


def part_example(reference: NoteTable, found: NoteTable, parts: int, weight: float = 1.0) -> PartExample:
    """An example of a mix.

    Args:
        reference: the notes that were played, with parts.
        found: the notes that were found, with embeddings.
        parts: how many.
        weight: how much the mix counts.
    """
    partner = partners(reference, found)
    true_part = np.where(partner >= 0, np.append(reference.part, NO_PART)[partner], NO_PART)
    return PartExample(found, true_part, len(reference), parts, weight)


def fitted_parts(examples: Sequence[PartExample]) -> PartWeights:
    """All weights: first those of the cost, with them the rule of the number of parts and the calibration."""
    cost = fitted_cost(examples)
    return PartWeights(cost=cost, count=fitted_count(examples, cost), calibration=fitted_calibration(examples, cost))


def fitted_cost(examples: Sequence[PartExample]) -> CostWeights:
    """The weights of the highest mean separated F where the number of parts is given, one weight after the other."""
    several = [example for example in examples if example.parts > 1]
    best = CostWeights()
    score = mean_separated_f(several, best)
    for name, values in _GRID.items():
        for value in values:
            tried = msgspec.structs.replace(best, **{name: value})
            if tried != best and (of_tried := mean_separated_f(several, tried)) > score:
                best, score = tried, of_tried
    return best


def mean_separated_f(examples: Sequence[PartExample], weights: CostWeights) -> float:
    """Mean F, by the examples' weights, of notes that are right and in the right part, the number of parts being given.

    Args:
        examples: some.
        weights: of the cost of a division.
    """
    scores = [separated_f(example, divided(example.notes, example.parts, weights)) for example in examples]
    return float(np.average(scores, weights=[example.weight for example in examples])) if scores else 0.0


def separated_f(example: PartExample, part: Ints) -> float:
    """F of notes that are right and in the right part, parts being paired as fits best.

    Args:
        example: with N notes.
        part: (N,) the parts that they were given.
    """
    rows, columns, hits = _paired(example, part)
    total = example.played + len(example.notes)
    return float(2 * hits[rows, columns].sum() / total) if total else 0.0


def fitted_count(examples: Sequence[PartExample], cost: CostWeights) -> CountRule:
    """The most likely weights of the features of the number of parts, a little shrunk; the default where no notes were found.

    Args:
        examples: of all numbers of parts.
        cost: of a division.
    """
    cases = _count_cases(examples, cost)
    return CountRule(weights=tuple(_count_weights(cases).tolist())) if cases else CountRule()


def count_score(examples: Sequence[PartExample], others: Sequence[PartExample], cost: CostWeights) -> CountScore:
    """How good the rule is on examples that it was not fitted on, by cross-validation.

    Args:
        examples: those that are judged.
        others: further ones to fit on.
        cost: of a division.
    """
    cases, further = _count_cases(examples, cost), _count_cases(others, cost)
    fold = np.random.default_rng(0).permutation(len(cases)) % _FOLDS
    confusion = np.zeros((max((parts for _, parts, _ in cases), default=0), 10), np.int64)
    for held_out in range(_FOLDS if len(cases) > 1 else 0):
        weights = _count_weights(further + [case for case, own in zip(cases, fold, strict=True) if own != held_out])
        for (features, parts, _), own in zip(cases, fold, strict=True):
            if own == held_out:
                confusion[parts - 1, 1 + int(np.argmax(features @ weights))] += 1
    return CountScore(confusion)


def fitted_calibration(examples: Sequence[PartExample], cost: CostWeights) -> Calibration:
    """Log odds of a note's being right and in the right part, fitted on divisions into the right number of parts; the default
    where no notes were found.

    Args:
        examples: some, with notes.
        cost: of a division.
    """
    limit = Calibration().margin_limit
    rows, right = [], []
    for example in (one for one in examples if len(one.notes)):
        part = divided(example.notes, example.parts, cost)
        of_true, of_own, _ = _paired(example, part)
        truth = np.full(int(part.max(initial=0)) + 1, NO_PART - 1)
        truth[of_own] = of_true
        margin = np.clip(margins(example.notes, part, cost), 0.0, limit)
        rows.append(np.column_stack([np.ones(len(part)), margin, example.notes.confidence]))
        right.append(truth[part] == example.true_part)
    if not rows:
        return Calibration()
    fitted = _logistic(np.concatenate(rows), np.concatenate(right))
    return Calibration(constant=fitted[0], margin=fitted[1], posterior=fitted[2], margin_limit=limit)


_Case = tuple[Floats, int, float]
"""Features (K, `COUNT_FEATURES`) of a mix, its number of parts, at most K, and its weight."""


def _count_cases(examples: Sequence[PartExample], cost: CostWeights) -> list[_Case]:
    cases = [(count_features(example.notes, cost), example.parts, example.weight) for example in examples]
    return [case for case in cases if case[1] <= len(case[0])]


def _count_weights(cases: Sequence[_Case]) -> Floats:
    """(`COUNT_FEATURES`,) weights of the least negative log likelihood of the right numbers."""
    scale = np.maximum(np.concatenate([features for features, _, _ in cases]).std(0), 1e-3)
    total = sum(weight for _, _, weight in cases)

    def loss(weights: Floats) -> tuple[float, Floats]:
        value, gradient = 0.0, np.zeros_like(weights)
        for features, parts, weight in cases:
            odds = features @ weights
            likely = np.exp(odds - odds.max())
            likely /= likely.sum()
            value -= weight * float(np.log(likely[parts - 1] + 1e-12))
            gradient -= weight * (features[parts - 1] - likely @ features)
        shrunk = weights * scale
        return value / total + _SHRINKAGE * float(shrunk @ shrunk), gradient / total + 2 * _SHRINKAGE * shrunk * scale

    return np.asarray(minimize(loss, np.zeros(len(scale)), jac=True, method="L-BFGS-B").x)


def _logistic(rows: Floats, right: Floats) -> list[float]:
    """(F,) weights of the least mean negative log likelihood of outcomes (N,) from rows (N, F)."""

    def loss(weights: Floats) -> tuple[float, Floats]:
        odds = rows @ weights
        value = np.logaddexp(0, odds) - odds * right
        gradient = rows * (1 / (1 + np.exp(-odds)) - right)[:, None]
        return float(value.mean()) + 1e-4 * float(weights @ weights), gradient.mean(0) + 2e-4 * weights

    return [float(weight) for weight in minimize(loss, np.zeros(rows.shape[1]), jac=True, method="L-BFGS-B").x]


def _paired(example: PartExample, part: Ints) -> tuple[Ints, Ints, Ints]:
    """(true parts, their partners, hits (true parts, parts)) of the pairing with the most hits."""
    right = example.true_part != NO_PART
    shape = (max(example.parts, int(example.true_part.max(initial=0)) + 1), int(part.max(initial=0)) + 1)
    hits = np.zeros(shape, np.int64)
    np.add.at(hits, (example.true_part[right], part[right]), 1)
    rows, columns = linear_sum_assignment(-hits)
    return rows, columns, hits
