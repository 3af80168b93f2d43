"""Writes a run's metrics as TensorBoard events."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from meloctl.training.schedule import TrainProgress


@contextmanager
def tensorboard_writer(folder: Path, step: int, *, is_writer: bool) -> Iterator[Any]:
    """Open a SummaryWriter in FOLDER/tensorboard; events of steps after `step` are dropped. None where `is_writer` is false."""
    if not is_writer:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
    try:
        yield writer
    finally:
        writer.close()


def write_scalars(writer: Any, progress: TrainProgress) -> None:
    """Write the last evaluation's columns of metrics.csv; nothing where `writer` is None."""
    if writer is None:
        return
    for name, value in progress.history[-1].items():
        if name != "step":
            writer.add_scalar(name, value, progress.step)
    writer.flush()
