"""The options of `meloctl train`, and the settings of the training loop that they give."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from analysis.errors import MeloError, flag
from meloctl.threads import check_threads

PACKS = 1
"""Default packs of a step; each rank needs one."""

CONTEXTS = 2
"""Default length of a pack, in contexts of the model."""

INFILL = 0.25
"""Default share of infill windows."""

LEARNING_RATE = 0.03
"""Default peak of the schedule, for models of all sizes; see `TrainConfig.learning_rate`."""

FINE_TUNING_RATE = 0.01
"""Default peak where training starts from given weights."""

TUNED_PLANS = 0.5
"""Default share of windows with bar plans where training starts from a model that knows them; otherwise 0."""

GATE_PRICE = 0.02
"""Default penalty of open gates, in nats per note."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of `meloctl train`; None leaves the choice to the model and the machine.

    To add an option, add it here and to the command's signature, and, where it is a setting of the loop, to `TrainConfig` under
    the same name.
    """

    model: str | None = None
    from_: str | None = None
    """A model whose weights training starts from: its folder, or "default"; None: random weights."""

    mask: Path | None = None
    gates: bool = False
    gate_price: float | None = None
    minutes: float = 30.0
    epochs: int = 100
    seed: int = 0
    learning_rate: float | None = None
    packs: int | None = None
    pack_rows: int | None = None
    infill: float | None = None
    plans: float | None = None
    checkpointing: bool = False
    shard: bool | None = None
    threads: int | None = None


def to_command_line(options: TrainOptions) -> list[str]:
    """The options that differ from their defaults, as words of a command: --model, tiny, --gates, …"""
    words = []
    for option in fields(options):
        value = getattr(options, option.name)
        if value == option.default:
            continue
        if isinstance(value, bool):
            words.append(flag(option.name) if value else flag(f"no_{option.name}"))
        else:
            words += [flag(option.name), f"{value:.15g}" if isinstance(value, float) else str(value)]
    return words


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of the training loop.

    Raises:
        MeloError: a value out of its range.
    """

    seed: int

    packs: int
    """Packs of an optimizer step; gradients accumulate over them."""

    pack_rows: int
    """Most rows of a pack, at least the model's context."""

    learning_rate: float
    """Peak of the schedule: about the singular values of what a step adds to the layers' matrices. The rate of all other weights
    is a share of it that falls with the model's width: see `meloctl.training.optimizer`."""

    minutes: float
    """Time budget; the number of steps is planned from it and the speed measured at the start."""

    epochs: int = 100
    """Most passes over the training pieces."""

    warmup: float = 0.05
    """Share of the steps in which the learning rate rises linearly; then it falls as a cosine to a tenth."""

    weight_decay: float = 0.1

    clip: float = 1.0
    """Largest norm of the gradient."""

    checkpointing: bool = False
    """Recompute each layer's activations in the backward pass: less memory, more time (docs/benchmarks.md)."""

    infill: float = 0.0
    """Share of the windows in which some bars or parts are moved to the end as the middle of an infill."""

    plans: float = 0.0
    """Share of the windows that are shown with plans of their bars; above 0 the model has a `PlanChannel`."""

    gates: bool = False
    """Attend to all earlier rows through learnable gates, one per relation and offset, instead of the mask."""

    gate_price: float = GATE_PRICE
    """Penalty of leaving all gates open, in nats per note; each gate has the share of its attention's work."""

    evaluations: int = 30
    """Evaluations over the planned steps."""

    patience: int = 6
    """Evaluations without a better result after which training stops, once they span 40 steps and a third of the plan is done."""

    threads: int | None = None
    """Threads of each process on a CPU; None: the number is measured, again and again."""

    save_seconds: float = 60.0
    """The state is saved at each evaluation, and between them whenever so many seconds have passed."""

    def __post_init__(self) -> None:
        check_threads(self.threads)
        for field, good, allowed in (
            ("minutes", 0 < self.minutes <= 100_000, "a time budget above 0"),
            ("epochs", 1 <= self.epochs <= 1_000_000, "how often to go through the pieces, 1 or more"),
            ("seed", 0 <= self.seed < 1 << 32, f"a whole number, 0 to {(1 << 32) - 1}"),
            ("learning_rate", 0 < self.learning_rate <= 1, "a number above 0 and up to 1"),
            ("packs", 1 <= self.packs <= 1 << 16, "packs of a step, 1 to 65536"),
            ("pack_rows", 1 <= self.pack_rows <= 1 << 24, "rows of a pack, 1 or more"),
            ("gate_price", 0 <= self.gate_price <= 1000, "the penalty of open gates, 0 or more nats per note"),
            ("infill", 0 <= self.infill <= 0.9, "the share of infill windows, 0 to 0.9"),
            ("plans", 0 <= self.plans <= 0.9, "the share of windows with bar plans, 0 to 0.9"),
        ):
            if not good:
                raise MeloError(f"give {allowed}", field=field, given=getattr(self, field))


def train_config(options: TrainOptions, defaults: Mapping[str, Any]) -> TrainConfig:
    """The settings that options give. Raises MeloError on values out of their range.

    Args:
        defaults: {field of TrainConfig: its value where the option of that name is None}.
    """
    settings = {field.name for field in fields(TrainConfig)}
    given = {name: value for name, value in asdict(options).items() if name in settings and value is not None}
    return TrainConfig(**{**defaults, **given})
