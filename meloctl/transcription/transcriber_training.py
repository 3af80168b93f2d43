"""Fits a transcriber to mixes. What a step draws depends on the seed and its number alone, so a killed run goes on as if it had
not been killed."""

import math
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch

from analysis.errors import MeloError
from meloctl.progress import ProgressReporter
from meloctl.transcription.loss_balance import BalanceName, LossBalance
from meloctl.transcription.network import Posteriors, Transcriber
from meloctl.transcription.note_decoding import DecodingThresholds
from meloctl.transcription.sounds.stem_library import StemLibrary
from meloctl.transcription.training_batches import BatchOptions, TrainingBatch, batches_from
from meloctl.transcription.transcriber_loss import TIMBRE_WEIGHTS, TimbreLossName, batch_losses
from meloctl.transcription.transcriber_state import (
    TranscriberProgress,
    TranscriberState,
    resume_transcriber_state,
    save_transcriber_state,
)
from meloctl.transcription.transcriber_validation import ValidationMix, mean_f, posteriors_of

EVALUATIONS = 10
_WARM_UP_STEPS = 60
_LEVEL_SHARE = 0.3
"""Of a run, after which the learning rate falls in a straight line, …"""

_LAST_RATE = 0.03
"""… to so much of its height."""

_SAVE_SECONDS = 5.0
_EMA = 0.995
_CLIP = 1.0
_RECENT = 0.05
"""Weight of the last step in the losses that are shown."""


class TranscriberTrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the training loop; it ends after `minutes` or `steps`, whichever comes first."""

    minutes: float = math.inf
    steps: int | None = None
    learning_rate: float = 3e-3
    seed: int = 0
    timbre_loss: TimbreLossName = "info-nce"
    balance: BalanceName = "fixed"
    batches: BatchOptions = BatchOptions()


def train_transcriber(
    network: Transcriber,
    library: StemLibrary,
    validation: Sequence[ValidationMix],
    config: TranscriberTrainConfig,
    folder: Path,
    reporter: ProgressReporter,
) -> tuple[Transcriber, TranscriberProgress]:
    """Train a network, or go on where a run in the folder stopped; the folder keeps its state.

    Args:
        network: with its first weights.
        library: of stems to train on.
        validation: at least one mix; their F is reported on the way.
        config: of the run.
        folder: for the state.
        reporter: gets a stage.

    Returns:
        The network with averaged weights, in evaluation mode, and how the run went.

    Raises:
        MeloError: the folder holds a damaged state, or one of another network.
    """
    state = TranscriberState(network.train())
    balance = LossBalance(rule=config.balance, fixed=[1.0, 1.0, TIMBRE_WEIGHTS[config.timbre_loss]])
    progress = resume_transcriber_state(state, folder) or TranscriberProgress(balance=balance)
    shown, total = _shown(progress, config)
    reporter.stage("training the transcriber", total, done=shown)
    began, saved = time.monotonic() - progress.seconds, time.monotonic()
    recent: list[float] = []
    with batches_from(library, config.batches, seed=config.seed, first=progress.step) as following:
        while (share := _share(progress, config)) < 1:
            losses = _step(state, following(), config, progress, share)
            if not all(map(math.isfinite, losses)):
                raise MeloError(f"{folder}: a loss is not finite at step {progress.step}; give a lower learning rate")
            progress.step += 1
            progress.seconds = time.monotonic() - began
            recent = [a + _RECENT * (b - a) for a, b in zip(recent or losses, losses, strict=True)]
            if _share(progress, config) >= (progress.evaluations + 1) / EVALUATIONS:
                _evaluate(state, validation, progress, recent)
                progress.seconds = time.monotonic() - began
            now, _ = _shown(progress, config)
            reporter.advance(now - shown, status=_status(progress, recent))
            shown = now
            if time.monotonic() - saved > _SAVE_SECONDS:
                save_transcriber_state(state, progress, folder)
                saved = time.monotonic()
    save_transcriber_state(state, progress, folder)
    return state.averaged, progress


def _shown(progress: TranscriberProgress, config: TranscriberTrainConfig) -> tuple[int, int]:
    """(done, total) of the progress bar: seconds where time is limited, else steps."""
    if math.isfinite(config.minutes):
        done, total = progress.seconds, math.ceil(config.minutes * 60)
    else:
        done, total = progress.step, config.steps or 0
    return min(int(done), total), total


def _share(progress: TranscriberProgress, config: TranscriberTrainConfig) -> float:
    """How much of its time or steps a run has had, 0 to 1 and beyond."""
    of_steps = progress.step / config.steps if config.steps else 0.0
    return max(of_steps, progress.seconds / (60 * config.minutes))


def _rate(config: TranscriberTrainConfig, step: int, share: float) -> float:
    """Learning rate of a step: a warm-up, a level, then a straight line down."""
    down = max(0.0, share - _LEVEL_SHARE) / (1 - _LEVEL_SHARE)
    return config.learning_rate * min(1.0, (step + 1) / _WARM_UP_STEPS) * (1 - (1 - _LAST_RATE) * min(1.0, down))


def _step(
    state: TranscriberState,
    batch: TrainingBatch,
    config: TranscriberTrainConfig,
    progress: TranscriberProgress,
    share: float,
) -> list[float]:
    """One step; its losses of notes, onsets and timbre."""
    found: Posteriors = state.network(batch.magnitudes)
    losses = batch_losses(found, batch.targets, config.timbre_loss)
    values = [float(loss.detach()) for loss in losses]
    weights = progress.balance.weights(values)
    total = torch.stack([loss * weight for loss, weight in zip(losses, weights, strict=True)]).sum()
    for group in state.optimizer.param_groups:
        group["lr"] = _rate(config, progress.step, share)
    state.optimizer.zero_grad(set_to_none=True)
    total.backward()
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), _CLIP)
    state.optimizer.step()
    state.average(min(_EMA, (progress.step + 1) / (progress.step + 10)))
    return values


def _evaluate(
    state: TranscriberState, mixes: Sequence[ValidationMix], progress: TranscriberProgress, recent: Sequence[float]
) -> None:
    f = mean_f(posteriors_of(state.averaged, mixes), mixes, DecodingThresholds())
    progress.evaluations += 1
    note, onset, timbre = recent
    progress.history.append(
        {
            "step": progress.step,
            "seconds": round(progress.seconds, 1),
            "note_loss": note,
            "onset_loss": onset,
            "timbre_loss": timbre,
            "validation_f": f,
        }
    )


def _status(progress: TranscriberProgress, recent: Sequence[float]) -> str:
    note, onset, timbre = recent
    line = f"step {progress.step:,}, losses: notes {note:.3f}, onsets {onset:.3f}, timbre {timbre:.2f}"
    return line + (f"; validation F {progress.history[-1]['validation_f']:.3f}" if progress.history else "")
