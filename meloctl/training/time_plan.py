"""The plan of a run's time: how many steps its budget holds beside the evaluations, corrected after each step.

Where all epochs fit into the time, the plan is a function of the settings alone, so that a run can be repeated bit for bit.
Otherwise time is the limit. Then evaluations on the way take at most EVALUATION_SHARE of it, the evaluation of all validation
windows at the end is planned in, and the rest is for steps: fewer when the machine slows down, more when it is faster.
"""

import math

from meloctl.training.options import TrainConfig
from meloctl.training.schedule import TrainProgress

EVALUATION_SHARE = 0.06
"""Most of the time budget that evaluations on the way take, where time is the limit."""

_WANTED_ROWS = 1 << 13
"""Evaluations on the way become rarer rather than smaller than this, as long as one fits: the figure of few rows is noise."""

_MOST_ROWS = 1 << 17
"""Most rows of an evaluation on the way."""

_FINAL_SHARE = 0.5
"""Most of the time budget that is kept for the evaluation at the end; a longer one ends late."""


def plan_run(
    config: TrainConfig,
    *,
    packs_per_epoch: int,
    validation_rows: int,
    seconds: float,
    step_seconds: float,
    row_seconds: float,
) -> TrainProgress:
    """The plan before the first step.

    Args:
        packs_per_epoch: of the first epoch.
        validation_rows: of all validation windows.
        seconds: that the rehearsal took.
        step_seconds: of a step.
        row_seconds: of the evaluation of a row.
    """
    max_steps = max(1, math.ceil(config.epochs * packs_per_epoch / config.packs))
    progress = TrainProgress(
        steps=max_steps,
        max_steps=max_steps,
        seconds=seconds,
        evaluated_at=seconds,
        step_seconds=max(step_seconds, 1e-9),
        row_steps=row_seconds / max(step_seconds, 1e-9),
    )
    _take_rows(progress, validation_rows, _MOST_ROWS)
    replan(progress, config)
    if progress.steps < max_steps:
        share = EVALUATION_SHARE * 60 * config.minutes / max(row_seconds, 1e-12)
        wanted = max(_WANTED_ROWS, share / config.evaluations)
        _take_rows(progress, validation_rows, max(1, int(min(wanted, share, _MOST_ROWS))))
        replan(progress, config)
    return progress


def replan(progress: TrainProgress, config: TrainConfig) -> None:
    """Fit the planned steps and the next evaluation to the time that is left. To be called after each step and evaluation."""
    budget = 60 * config.minutes
    final = progress.evaluation_time(progress.final_rows)
    left = budget - progress.seconds - min(final, _FINAL_SHARE * budget)
    evaluation = progress.evaluation_time(progress.validation_rows)
    undone = progress.max_steps - progress.step
    all_epochs = undone * progress.step_seconds + evaluation * math.ceil(undone / _steps_between(progress, config))
    if all_epochs <= left:
        progress.steps, progress.seconds_left = progress.max_steps, all_epochs + final
        progress.next_evaluation = progress.evaluated_step + _steps_between(progress, config)
        return
    interval = max(budget / config.evaluations, evaluation / EVALUATION_SHARE)
    steps_left = round((left - evaluation * max(1, left // interval)) / progress.step_seconds)
    progress.steps = progress.step + max(0, min(undone, steps_left))
    progress.seconds_left = max(0.0, left) + final
    until = progress.evaluated_at + interval - progress.seconds
    progress.next_evaluation = progress.step + max(0, round(until / progress.step_seconds))
    if progress.steps - progress.next_evaluation < interval / 2 / progress.step_seconds:
        progress.next_evaluation = progress.steps  # the last one follows so soon


def _steps_between(progress: TrainProgress, config: TrainConfig) -> int:
    """Steps from one evaluation to the next where all epochs fit."""
    return max(1, progress.max_steps // config.evaluations)


def _take_rows(progress: TrainProgress, rows: int, most: int) -> None:
    """Let evaluations on the way take every n-th window of validation, so that at most `most` of its `rows` rows remain."""
    progress.validation_every = max(1, -(-rows // most))
    progress.validation_rows = rows // progress.validation_every
    progress.final_rows = rows if progress.validation_every > 1 else 0
