"""Weights of several losses that are trained at once: fixed, of one magnitude, and by how fast each of them falls."""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec

BalanceName = Literal["fixed", "magnitude", "dwa"]

_MOMENTUM = 0.9
_TEMPERATURE = 2.0
_WINDOW_STEPS = 50
_LEAST = 1e-8


def parallel_weights(losses: Sequence[float]) -> list[float]:
    """Weights α that sum to 1 and give all losses one value: α_i L_i = 1 / Σ_j 1 / L_j, as resistors in parallel.

    Args:
        losses: above 0.
    """
    conductance = [1 / max(loss, _LEAST) for loss in losses]
    return [c / sum(conductance) for c in conductance]


def dwa_weights(last: Sequence[float], before: Sequence[float], temperature: float) -> list[float]:
    """Weights that sum to 1 and are larger for losses that fall slowly: softmax((last / before) / temperature).

    Source: dynamic weight average of Liu, Johns and Davison (2019), "End-to-end multi-task learning with attention", where the
    weights sum to the number of losses.

    Args:
        last: the losses of the last span of training.
        before: those of the span before it.
        temperature: large ones make all weights alike.
    """
    rates = [a / max(b, _LEAST) / temperature for a, b in zip(last, before, strict=True)]
    powers = [math.exp(rate - max(rates)) for rate in rates]
    return [power / sum(powers) for power in powers]


class LossBalance(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The weights of the losses of a run, and what they follow; all of it can be written as JSON and read back.

    Weights average 1, whatever their rule. "magnitude" makes all weighted losses alike; its shares follow with momentum. "dwa"
    multiplies these by dynamic weight averages over spans of steps: magnitudes that differ would drown them.
    """

    rule: BalanceName
    fixed: list[float]
    """Weights of the rule "fixed"; how many losses there are."""

    shares: list[float] = msgspec.field(default_factory=list)
    """Parallel weights, with momentum."""

    sums: list[float] = msgspec.field(default_factory=list)
    """Of the losses in the span under way."""

    steps: int = 0
    """Of the span under way."""

    spans: list[list[float]] = msgspec.field(default_factory=list)
    """Mean losses of the last two whole spans, the older one first."""

    def weights(self, losses: Sequence[float]) -> list[float]:
        """The weights of the losses of a step; the balance takes them in.

        Args:
            losses: as many as `fixed` has, above 0.
        """
        if self.rule == "fixed":
            return self.fixed
        now = parallel_weights(losses)
        before = self.shares or now
        self.shares = [_MOMENTUM * b + (1 - _MOMENTUM) * n for b, n in zip(before, now, strict=True)]
        if self.rule == "magnitude":
            return _averaging_one(self.shares)
        self._take(losses)
        rates = dwa_weights(self.spans[1], self.spans[0], _TEMPERATURE) if len(self.spans) == 2 else [1.0] * len(losses)
        return _averaging_one([s * r for s, r in zip(self.shares, rates, strict=True)])

    def _take(self, losses: Sequence[float]) -> None:
        self.sums = [s + loss for s, loss in zip(self.sums or [0.0] * len(losses), losses, strict=True)]
        self.steps += 1
        if self.steps == _WINDOW_STEPS:
            self.spans = [*self.spans[-1:], [s / _WINDOW_STEPS for s in self.sums]]
            self.sums, self.steps = [], 0


def _averaging_one(weights: Sequence[float]) -> list[float]:
    return [w * len(weights) / sum(weights) for w in weights]
