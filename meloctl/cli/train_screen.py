"""What `meloctl train` shows while it works: a bar for now, and a line for each evaluation, which stays."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from meloctl.training.schedule import Speed, TrainProgress
    from meloctl.training.step_timing import RunEstimate
    from meloctl.training.watch import StepReport

_WAITING = 0.01
"""Waiting for data is told from this share of the time on."""


class Screen:
    """Shows what a session tells."""

    def __init__(self, bar: "Bar") -> None:
        self.bar = bar
        self.best = ""
        self.reading: TaskID | None = None
        self.training: TaskID | None = None

    def encoding(self, files: int) -> None:
        """Files are about to be encoded."""
        self.reading = self.bar.add_task("encoding", total=files, quality="")

    def encoded(self) -> None:
        """One more file is encoded."""
        if self.reading is not None:
            self.bar.advance(self.reading)

    def prepared(self, lines: list[str]) -> None:
        """The data and the baselines are known."""
        for line in lines:
            self.bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def estimated(self, estimate: "RunEstimate") -> None:
        """The plan is known."""
        from meloctl.formatting import duration

        left, gigabytes = estimate.steps - estimate.done, estimate.memory_bytes / 1e9
        padding = f"; {100 * estimate.padding:.1f} % of the rows are padding" if estimate.padding > 0 else ""
        going_on = f"Going on after step {estimate.done:,}. " if estimate.done else ""
        self.prepared(
            [
                f"{going_on}Estimate: {left:,} steps in {duration(estimate.seconds)}, at {estimate.rows_per_second:,.0f} rows/s, "
                f"with {gigabytes:.1f} GB of memory{padding}"
            ]
        )
        self.training = self.bar.add_task("training", total=estimate.steps, completed=estimate.done, quality="")

    def stepped(self, progress: "StepReport") -> None:
        """One more step is done."""
        assert self.training is not None
        text = f"epoch {progress.epoch + 1}, {progress.bits_per_note:.2f} bits{self.best}, {_speed(progress.speed)}"
        self.bar.update(self.training, completed=progress.step, quality=text)

    def evaluated(self, standing: "TrainProgress") -> None:
        """Validation was measured: a line of it stays, and the best so far stands beside the bar."""
        from meloctl.formatting import duration
        from meloctl.training.schedule import Speed

        assert self.training is not None
        self.best = f", best {standing.best:.2f}"
        self.bar.update(self.training, total=standing.steps)
        now = standing.history[-1]
        speed = Speed(
            rows_per_second=now["rows_per_second"], notes_per_second=now["notes_per_second"], waiting=now["waiting"]
        )
        best = "the best so far" if standing.stale == 0 else f"best {standing.best:.2f} at step {standing.best_step:,}"
        left = "" if standing.why else f"; {duration(standing.seconds_left)} left"
        self.prepared(
            [
                f"step {standing.step:,} of {standing.steps:,}: {now['validation_bits_per_note']:.2f} bits a note, {best} "
                f"(training {now['train_bits_per_note']:.2f}); {_speed(speed)}{left}"
            ]
        )


class Nobody:
    """Shows nothing: of several processes the first one has the screen."""

    def encoding(self, files: int) -> None:
        """Nothing to see."""

    def encoded(self) -> None:
        """Nothing to see."""

    def prepared(self, lines: list[str]) -> None:
        """Nothing to see."""

    def estimated(self, estimate: "RunEstimate") -> None:
        """Nothing to see."""

    def stepped(self, progress: "StepReport") -> None:
        """Nothing to see."""

    def evaluated(self, standing: "TrainProgress") -> None:
        """Nothing to see."""


def _speed(speed: "Speed") -> str:
    """Rows and notes a second, and the share of waiting where it is worth a word."""
    waiting = f", {100 * speed.waiting:.0f} % waiting for data" if speed.waiting > _WAITING else ""
    return f"{speed.rows_per_second:,.0f} rows/s, {speed.notes_per_second:,.0f} notes/s{waiting}"
