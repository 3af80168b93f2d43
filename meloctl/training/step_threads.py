"""The threads of a run's steps: which numbers are tried, and what is said when another one becomes the fastest."""

import torch
from accelerate import Accelerator

from meloctl.formatting import count
from meloctl.progress import ProgressReporter
from meloctl.threads import ThreadTuner, thread_counts, thread_limit
from meloctl.training.options import TrainConfig
from meloctl.training.processes import broadcast_first
from meloctl.training.schedule import TrainProgress


def run_tuner(config: TrainConfig, accelerator: Accelerator, progress: TrainProgress | None) -> ThreadTuner:
    """What chooses the number of threads of each process, on all ranks alike: the first one's cores say how many are tried.

    A run that goes on begins with the number that it had. On a GPU the number is left alone.
    """
    if config.threads is not None:
        return ThreadTuner([config.threads])
    if accelerator.device.type == "cuda":
        return ThreadTuner([torch.get_num_threads()])
    limit = round(broadcast_first(accelerator, thread_limit(accelerator.num_processes)))
    return ThreadTuner(thread_counts(limit), best=progress.threads if progress else None)


def tune(tuner: ThreadTuner, progress: TrainProgress, reporter: ProgressReporter, *, seconds: float, rows: int) -> None:
    """Take in the time of a step; say so where another number of threads has become the fastest."""
    if not tuner.add_step(seconds, rows):
        return
    before, progress.threads = progress.threads, tuner.best
    times = [tuner.row_seconds(threads) for threads in (tuner.best, before)]
    speeds = " instead of ".join(f"{1 / t:,.0f}" for t in times if t)
    reporter.message(f"step {progress.step:,}: {count(tuner.best, 'thread')} instead of {before}, {speeds} rows/s")
