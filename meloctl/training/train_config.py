"""How to train: what a run is told."""

from dataclasses import dataclass

from analysis.errors import MeloError

PACKS = 1
"""Packs of a step, where nothing else is asked for; each process needs one."""

CONTEXTS = 2
"""A pack is so many times as long as the model's context, where nothing else is asked for."""

INFILL = 0.25
"""Share of windows with gaps, where nothing else is asked for."""

GATE_PRICE = 0.02
"""Nats a note that it costs to leave all gates open."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train.

    Raises:
        MeloError: on values outside their range.
    """

    seed: int

    packs: int
    """Packs of a step; its gradient is that of all of them together."""

    pack_rows: int
    """Most rows of a pack, at least the model's context."""

    learning_rate: float

    minutes: float
    """Time budget; the number of steps is planned from it and the speed measured at the start."""

    epochs: int = 100
    """Most passes over the training pieces."""

    warmup: float = 0.05
    """Share of the steps in which the learning rate rises; then it falls as a cosine to a tenth."""

    weight_decay: float = 0.1

    clip: float = 1.0
    """Largest norm of the gradient."""

    ema: float | None = None
    """Decay of a running mean of the weights, which is then what is evaluated and kept; None without one."""

    checkpointing: bool = False
    """Layers forget their activations and compute them again for the backward pass: less memory, a third more time."""

    infill: float = 0.0
    """Share of the windows in which some bars or parts are written last, so that the model learns to fill gaps."""

    gates: bool = False
    """Rows hear all earlier rows through learnable gates, one a relation and offset, instead of the mask."""

    gate_price: float = GATE_PRICE
    """What it costs, in nats a note, to leave all gates open: of each its share of attention's work."""

    compile: bool = False
    """Compile whole layers for a GPU; attention under a mask always is."""

    evaluations: int = 30
    """Evaluations over the planned steps."""

    patience: int = 6
    """Evaluations without a better result after which training stops, once they span 40 steps and a third of the plan is done."""

    save_seconds: float = 60.0
    """The state is saved at each evaluation, and between them whenever so many seconds have passed."""

    def __post_init__(self) -> None:
        for option, value, good, allowed in (
            ("minutes", self.minutes, 0 < self.minutes <= 100_000, "a time budget above 0"),
            ("epochs", self.epochs, 1 <= self.epochs <= 1_000_000, "how often to go through the pieces, 1 or more"),
            ("seed", self.seed, 0 <= self.seed < 1 << 32, f"a whole number, 0 to {(1 << 32) - 1}"),
            ("learning-rate", self.learning_rate, 0 < self.learning_rate <= 1, "a number above 0 and up to 1"),
            ("packs", self.packs, 1 <= self.packs <= 1 << 16, "packs of a step, 1 to 65536"),
            ("pack-rows", self.pack_rows, 1 <= self.pack_rows <= 1 << 24, "rows of a pack, 1 or more"),
            (
                "gate-price",
                self.gate_price,
                0 <= self.gate_price <= 1000,
                "what open gates cost, 0 or more nats a note",
            ),
            ("infill", self.infill, 0 <= self.infill <= 0.9, "the share of windows with gaps, 0 to 0.9"),
            ("ema", self.ema, self.ema is None or 0 < self.ema < 1, "a decay between 0 and 1, such as 0.999"),
        ):
            if not good:
                given = value if isinstance(value, int) else f"{value:g}"
                raise MeloError(f"--{option} {given}: give {allowed}")
