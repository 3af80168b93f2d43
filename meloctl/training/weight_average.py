"""A running mean of the weights: smoother than the weights themselves, and often better on music not heard in training."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """mean ← d · mean + (1 − d) · weight after each step, with d = min(decay, (1 + steps) / (10 + steps)).

    The smaller d of the first steps lets the mean leave the first weights behind soon.
    Source: Polyak and Juditsky (1992); the rising decay is TensorFlow's `ExponentialMovingAverage`.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights: dict[str, Tensor] = {name: p.detach().clone() for name, p in model.named_parameters()}
        """The mean of each parameter, by its name."""

    @torch.no_grad()
    def follow(self, model: nn.Module, steps: int) -> None:
        """Take in the weights after a step; `steps` were done before it."""
        decay = min(self.decay, (1 + steps) / (10 + steps))
        for name, parameter in model.named_parameters():
            self.weights[name].lerp_(parameter, 1 - decay)


@contextmanager
def averaged_weights(model: nn.Module, average: WeightAverage | None) -> Iterator[None]:
    """Within, the model has the averaged weights; without an average nothing changes."""
    if average is None:
        yield
        return
    kept = {name: p.detach().clone() for name, p in model.named_parameters()}
    _put(model, average.weights)
    try:
        yield
    finally:
        _put(model, kept)


@torch.no_grad()
def _put(model: nn.Module, weights: dict[str, Tensor]) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])
