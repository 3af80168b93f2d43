"""Whether this machine can train a model in the time given; if not, why, and which options would fit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from masks.spec import MaskSpec
from meloctl.formatting import duration
from meloctl.machine import Machine
from meloctl.model.config import PRESETS
from meloctl.model.registry import ModelName
from meloctl.rows.vocabulary import Vocabulary
from meloctl.training.estimate import CorpusSize, ResourceEstimate, estimate_resources
from meloctl.training.options import CONTEXTS, TrainConfig

LEAST_STEPS = 5
"""Fewer steps train nothing, and the estimate is not wrong by that much."""

_GOOD_STEPS = 200
"""An alternative is proposed only where it has at least so many steps."""

_DOUBT = 3.0
"""A machine that was busy while it was measured may be so many times faster: within this factor nothing is refused."""


@dataclass(frozen=True, kw_only=True)
class Feasibility:
    """Whether a run is possible."""

    refused: bool = False
    """Too little memory, or far too little time: nothing should be started."""

    lines: tuple[str, ...] = ()
    """Why it is refused or doubtful, for people; empty where it is neither."""

    alternative: dict[str, Any] | None = None
    """Options that would fit, as fields of `TrainOptions`; None where none are known or needed."""

    alternative_needs: str = ""
    """Memory and time of the alternative, in words."""


@dataclass(frozen=True, kw_only=True)
class FittingRun:
    """A run whose memory and time are estimated."""

    name: ModelName
    spec: MaskSpec | None
    config: TrainConfig
    shard: bool = False

    def resources(self, vocabulary: Vocabulary, corpus: CorpusSize, machine: Machine) -> ResourceEstimate:
        """Memory and time of a step on one rank of the machine."""
        return estimate_resources(
            self.name.architecture,
            self.name.config,
            vocabulary,
            self.spec,
            self.config,
            corpus,
            device=machine.device,
            processes=machine.processes,
            shard=self.shard,
        )

    def fits(self, needed: ResourceEstimate, machine: Machine) -> bool:
        """Whether the machine has the memory for it."""
        return needed.memory_bytes <= machine.memory_bytes

    def in_time(self, needed: ResourceEstimate, machine: Machine, steps: float = LEAST_STEPS) -> bool:
        """Whether its time budget holds `steps` steps."""
        return steps * needed.seconds(machine) <= 60 * self.config.minutes


def check_feasibility(run: FittingRun, vocabulary: Vocabulary, corpus: CorpusSize, machine: Machine) -> Feasibility:
    """Whether a run is possible on a machine; if not, or if it is doubtful: why, and which options would fit."""
    needed = run.resources(vocabulary, corpus, machine)
    fits, in_time = run.fits(needed, machine), run.in_time(needed, machine)
    if fits and in_time:
        return Feasibility()
    refused = not fits or not run.in_time(needed, machine, LEAST_STEPS / _DOUBT)
    minutes = "" if in_time else f" in {run.config.minutes:g} minutes"
    model = f"model {run.name}"
    lines = (
        f"{model} is too much for this {machine.name}{minutes}; nothing was started"
        if refused
        else f"Note: {model} may be too much for this {machine.name}{minutes}",
        f"  {memory_line(needed, run.config, machine)}",
        f"  {_time_line(needed, run.config, corpus, machine)}",
    )
    for other, options in _alternatives(run):
        less = other.resources(vocabulary, corpus, machine)
        if other.fits(less, machine) and other.in_time(less, machine, _GOOD_STEPS):
            seconds = less.seconds(machine)
            one_pass = duration(seconds * steps_per_pass(less, corpus))
            needs = f"{less.memory_bytes / 1e9:.1f} GB, {duration(seconds)} a step, one pass in {one_pass}"
            return Feasibility(refused=refused, lines=lines, alternative=options, alternative_needs=needs)
    ways = [*([] if fits else ["free some memory"]), *([] if in_time else ["give it more minutes"])]
    return Feasibility(refused=refused, lines=(*lines, f"  No smaller size fits well: {' and '.join(ways)}"))


def memory_line(needed: ResourceEstimate, config: TrainConfig, machine: Machine) -> str:
    """The memory that a run needs, by weights and activations, and the memory that is free."""
    weights, rest = needed.weights_bytes / 1e9, needed.activations_bytes / 1e9
    each = " of each process" if machine.processes > 1 else ""
    return (
        f"Memory{each}: {weights + rest:.1f} GB, {weights:.1f} for {needed.parameters / 1e6:.0f}M weights, gradients "
        f"and moments, {rest:.1f} for the activations of {config.pack_rows:,} rows; {machine.memory_bytes / 1e9:.1f} GB are free"
    )


def _time_line(needed: ResourceEstimate, config: TrainConfig, corpus: CorpusSize, machine: Machine) -> str:
    """The time of a step and of a pass over the corpus, at the measured speed."""
    seconds = needed.seconds(machine)
    steps = int(60 * config.minutes / seconds)
    fitting = "1 step" if steps == 1 else f"{steps:,} steps"
    return (
        f"Time: about {duration(seconds)} a step of {needed.rows:,} rows, at {machine.flops_per_second / 1e12:.2g} TFLOP/s; "
        f"{config.minutes:g} minutes hold {fitting} ({LEAST_STEPS} are the least); one pass over the corpus "
        f"({corpus.rows:,} rows) takes {duration(seconds * steps_per_pass(needed, corpus))}"
    )


def steps_per_pass(needed: ResourceEstimate, corpus: CorpusSize) -> float:
    """Steps of one pass over the corpus; less than 1 where a step holds more."""
    return corpus.rows / needed.rows


def _alternatives(run: FittingRun) -> Iterator[tuple[FittingRun, dict[str, Any]]]:
    """Runs that need less, the most similar first, each with the options that it changes."""
    context = run.name.config.context
    if run.config.pack_rows > context:
        yield replace(run, config=replace(run.config, pack_rows=context)), {"pack_rows": context}
    if not run.config.checkpointing:
        yield replace(run, config=replace(run.config, checkpointing=True)), {"checkpointing": True}
    sizes = list(PRESETS)
    for size in reversed(sizes[: sizes.index(run.name.size)]):
        name = replace(run.name, size=size)
        config = replace(run.config, pack_rows=CONTEXTS * PRESETS[size].context)
        yield replace(run, name=name, config=config), {"model": str(name), "pack_rows": None}
