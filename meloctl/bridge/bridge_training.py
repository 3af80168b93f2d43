"""Fits a bridge to examples. What a step draws depends on the seed and its number alone, so a killed run goes on as if it had
not been killed.

Shape letters: B examples, T bars, D width of a plan.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Floats32, Ints
from analysis.errors import MeloError
from meloctl.bridge.bar_conditions import ConditionBatch, batch_of
from meloctl.bridge.bridge_examples import BridgeExamples
from meloctl.bridge.bridge_network import BridgeNetwork
from meloctl.bridge.bridge_state import BridgeProgress, BridgeState, resume_state, save_state
from meloctl.progress import ProgressReporter

EVALUATIONS = 20
_WARM_UP = 0.05
_SAVE_SECONDS = 15.0
_EMA = 0.998
_CLIP = 1.0
_VALIDATION_BATCH = 20


@dataclass(frozen=True, kw_only=True)
class BridgeTrainConfig:
    """Settings of the training loop; it ends after `minutes` or `steps`, whichever comes first."""

    minutes: float = math.inf
    steps: int | None = None
    bars_per_step: int = 512
    """Bars of the examples of a step, about; they are of similar lengths, so that little is padding."""

    learning_rate: float = 3e-3
    seed: int = 0
    drop_all: float = 0.1
    """Share of the examples that learn music of which nothing is said."""

    drop_text: float = 0.2
    drop_wants: float = 0.15
    drop_want: float = 0.2
    """Share of the single wants that are dropped."""

    jitter: float = 0.1
    """Standard deviation of noise on levels, which are read off words and so not exact."""


def train_bridge(
    network: BridgeNetwork,
    training: BridgeExamples,
    validation: BridgeExamples,
    config: BridgeTrainConfig,
    folder: Path,
    reporter: ProgressReporter,
) -> BridgeProgress:
    """Train a network in place, or go on where a run in the folder stopped; it ends with the averaged weights that were best on
    the validation examples. The folder keeps the state of the end: `folder / STATE`.

    Raises:
        MeloError: the folder holds a damaged state, or one of another network.
    """
    network.train()
    with torch.no_grad():
        plans = torch.from_numpy(np.concatenate(training.plans))
        network.plan_mean.copy_(plans.mean(0))
        network.plan_deviation.copy_(plans.std(0).clamp(min=1e-3))
    state = BridgeState(network)
    progress = resume_state(state, folder) or BridgeProgress()
    shown, total = _shown(progress, config)
    reporter.stage("training the bridge", total, done=shown)
    began, saved = time.monotonic() - progress.seconds, time.monotonic()
    while (share := _share(progress, config)) < 1:
        loss = _step(state, training, config, progress.step, share)
        progress.step += 1
        progress.seconds = time.monotonic() - began
        if not math.isfinite(loss):
            raise MeloError(
                f"{folder}: the bridge's loss is not finite at step {progress.step}; the plans may be damaged"
            )
        if _share(progress, config) >= (progress.evaluations + 1) / EVALUATIONS:
            _evaluate(state, validation, config, progress)
            progress.seconds = time.monotonic() - began
        now, _ = _shown(progress, config)
        reporter.advance(now - shown, status=_status(progress, loss))
        shown = now
        if time.monotonic() - saved > _SAVE_SECONDS:
            save_state(state, progress, folder)
            saved = time.monotonic()
    save_state(state, progress, folder)
    state.load_best()
    network.eval()
    return progress


def _shown(progress: BridgeProgress, config: BridgeTrainConfig) -> tuple[int, int]:
    """(done, total) of the progress bar: seconds where time is limited, else steps."""
    if math.isfinite(config.minutes):
        done, total = progress.seconds, math.ceil(config.minutes * 60)
    else:
        done, total = progress.step, config.steps or 0
    return min(int(done), total), total


def _share(progress: BridgeProgress, config: BridgeTrainConfig) -> float:
    """How much of its time or steps a run has had, 0 to 1 and beyond."""
    of_steps = progress.step / config.steps if config.steps else 0.0
    return max(of_steps, progress.seconds / (60 * config.minutes))


def _step(state: BridgeState, training: BridgeExamples, config: BridgeTrainConfig, step: int, share: float) -> float:
    """One step; its loss."""
    rng = np.random.default_rng([config.seed, step])
    generator = torch.Generator().manual_seed(int(rng.integers(1 << 62)))
    chosen = _of_similar_length(training, config.bars_per_step, rng)
    conditions = batch_of([training.conditions[i] for i in chosen])
    conditions = dropped(conditions, config, generator)
    u = (torch.arange(len(chosen)) + torch.rand(1, generator=generator)) / len(chosen)
    noise, text = bridge_losses(
        state.network, conditions, _padded([training.plans[i] for i in chosen]), u**2, generator
    )
    loss = noise + text
    rate = config.learning_rate * min(share / _WARM_UP + 0.02, 1) * 0.5 * (1 + math.cos(math.pi * min(share, 1)))
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), _CLIP)
    state.optimizer.step()
    state.average(min(_EMA, (step + 1) / (step + 10)))
    return float(noise.detach())


def _of_similar_length(examples: BridgeExamples, bars: int, rng: np.random.Generator) -> Ints:
    """Indices of examples that have about so many bars together, drawn from those around one of them in the order of lengths."""
    place = int(rng.integers(len(examples)))
    length = len(examples.plans[examples.by_length[place]])
    count = max(1, round(bars / length))
    first = min(max(0, place - count), max(0, len(examples) - 2 * count))
    return rng.permutation(examples.by_length[first : first + 2 * count])[:count]


def bridge_losses(
    network: BridgeNetwork, conditions: ConditionBatch, plans: Tensor, t: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """(mean squared error of the predicted noise, mean squared error of z_text), over the bars that are no padding.

    Args:
        conditions: of B examples.
        plans: (B, T, D) as the music model has them.
        t: (B,) times above 0.
        generator: draws the bridge's noise.
    """
    schedule, music = network.schedule, network.standardised(plans)
    embedded, time_of = network.embed(conditions), network.at_time(t)
    z_text, alpha = embedded.z_text.detach(), schedule.alpha(time_of.t)
    drawn = torch.randn(music.shape, generator=generator)
    z = alpha * music + (1 - alpha) * z_text + schedule.beta(time_of.t).sqrt() * drawn
    wanted = (z - music) / schedule.displacement_scale(time_of.t)
    return (
        (network(z, embedded, time_of) - wanted)[conditions.real].square().mean(),
        (embedded.z_text - music)[conditions.real].square().mean(),
    )


def dropped(conditions: ConditionBatch, config: BridgeTrainConfig, generator: torch.Generator) -> ConditionBatch:
    """Conditions of which texts and wants are left out at random: of whole pieces, and single wants of a piece."""
    count, _, attributes = conditions.said.shape
    chance = torch.rand(count, 1, 1, generator=generator)
    edges = np.cumsum([config.drop_all, config.drop_text, config.drop_wants])
    text = (chance >= edges[1]).float()
    wants = ((chance >= edges[0]) & ((chance < edges[1]) | (chance >= edges[2]))).float()
    kept = wants * (torch.rand(count, 1, attributes, generator=generator) >= config.drop_want)
    said = conditions.said * kept
    jitter = config.jitter * torch.randn(count, 1, attributes, generator=generator)
    return conditions._replace(
        levels=(conditions.levels + jitter) * said,
        said=said,
        text=conditions.text * text,
        has_text=conditions.has_text * text,
    )


def _evaluate(
    state: BridgeState, validation: BridgeExamples, config: BridgeTrainConfig, progress: BridgeProgress
) -> None:
    """Measure the averaged weights on the validation examples, always at the same times; keep them if they are best."""
    noise, text = validation_losses(state.averaged, validation, config.seed)
    progress.evaluations = int(_share(progress, config) * EVALUATIONS)
    progress.history.append({"step": progress.step, "seconds": progress.seconds, "loss": noise, "text_loss": text})
    if progress.best is None or noise < progress.best:
        progress.best = noise
        state.keep_as_best()


@torch.no_grad()
def validation_losses(network: BridgeNetwork, examples: BridgeExamples, seed: int) -> tuple[float, float]:
    """The two `bridge_losses` over examples, weighted by bars; times and noise depend on the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    sums, bars = np.zeros(2), 0
    for chosen in np.array_split(examples.by_length, math.ceil(len(examples) / _VALIDATION_BATCH)):
        conditions, plans = batch_of([examples.conditions[i] for i in chosen]), [examples.plans[i] for i in chosen]
        u = (torch.randperm(len(chosen), generator=generator) + 0.5) / len(chosen)
        real = int(conditions.real.sum())
        losses = bridge_losses(network, conditions, _padded(plans), u**2, generator)
        sums += real * np.array([float(x) for x in losses])
        bars += real
    noise, text = sums / bars
    return float(noise), float(text)


def _padded(plans: Sequence[Floats32]) -> Tensor:
    """(B, T, D) plans side by side, 0 behind the end of each."""
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(p) for p in plans], batch_first=True)


def _status(progress: BridgeProgress, loss: float) -> str:
    best = "" if progress.best is None else f", validation {progress.best:.3f}"
    return f"step {progress.step:,}, loss {loss:.3f}{best}"
