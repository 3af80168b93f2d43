"""Can this machine train that model in the time given? If not: what it would need, what there is, and what would fit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from masks.spec import MaskSpec
from meloctl.formatting import duration
from meloctl.machine import Machine
from meloctl.model.config import PRESETS
from meloctl.model.registry import ModelName
from meloctl.rows.vocabulary import Vocabulary
from meloctl.training.estimate import CorpusSize, ResourceEstimate, need
from meloctl.training.train_config import CONTEXTS, TrainConfig

LEAST_STEPS = 5
"""With fewer no model has learned anything, and the estimate is surely not wrong by so much."""

_GOOD_STEPS = 200
"""What is proposed instead takes at least so many."""

_DOUBT = 3.0
"""A machine that was busy while it was measured may be so many times as fast as it seemed: up to there nothing is refused."""


@dataclass(frozen=True, kw_only=True)
class Feasibility:
    """What is to be expected of a run."""

    refused: bool = False
    """Memory, or time by far, does not suffice: nothing should be started."""

    lines: tuple[str, ...] = ()
    """Why, or what is doubtful, for people; none where all is well."""

    instead: dict[str, Any] | None = None
    """Options that would make it fit, as fields of `asked.Asked`; None where none are known, or none are needed."""

    needs: str = ""
    """What it would need with those."""


@dataclass(frozen=True, kw_only=True)
class FittingRun:
    """A run that is thought of."""

    name: ModelName
    spec: MaskSpec | None
    config: TrainConfig
    shard: bool = False

    def need(self, vocabulary: Vocabulary, music: CorpusSize, machine: Machine) -> ResourceEstimate:
        """What it needs of one process."""
        return need(
            self.name.architecture,
            self.name.config,
            vocabulary,
            self.spec,
            self.config,
            music,
            device=machine.device,
            processes=machine.processes,
            shard=self.shard,
        )

    def fits(self, needed: ResourceEstimate, machine: Machine) -> bool:
        """Is there memory for it?"""
        return needed.memory_bytes <= machine.memory_bytes

    def in_time(self, needed: ResourceEstimate, machine: Machine, steps: float = LEAST_STEPS) -> bool:
        """Does its budget hold enough steps?"""
        return steps * needed.seconds(machine) <= 60 * self.config.minutes


def outlook(wish: FittingRun, vocabulary: Vocabulary, music: CorpusSize, machine: Machine) -> Feasibility:
    """Can a run be made here? If not, or if it is doubtful: why, and what could be done instead."""
    needed = wish.need(vocabulary, music, machine)
    fits, in_time = wish.fits(needed, machine), wish.in_time(needed, machine)
    if fits and in_time:
        return Feasibility()
    refused = not fits or not wish.in_time(needed, machine, LEAST_STEPS / _DOUBT)
    minutes = "" if in_time else f" in {wish.config.minutes:g} minutes"
    model = f"--model {wish.name}"
    lines = (
        f"{model} is too much for this {machine.name}{minutes}; nothing was started"
        if refused
        else f"Note: {model} may be too much for this {machine.name}{minutes}",
        f"  {memory_line(needed, wish.config, machine)}",
        f"  {_time_line(needed, wish.config, music, machine)}",
    )
    for other, change in _others(wish):
        less = other.need(vocabulary, music, machine)
        if other.fits(less, machine) and other.in_time(less, machine, _GOOD_STEPS):
            seconds = less.seconds(machine)
            one_pass = duration(seconds * passes(less, music))
            needs = f"{less.memory_bytes / 1e9:.1f} GB, {duration(seconds)} a step, one pass in {one_pass}"
            return Feasibility(refused=refused, lines=lines, instead=change, needs=needs)
    ways = [*([] if fits else ["free some memory"]), *([] if in_time else ["give more --minutes"])]
    return Feasibility(refused=refused, lines=(*lines, f"  No smaller size fits well: {' and '.join(ways)}"))


def memory_line(needed: ResourceEstimate, config: TrainConfig, machine: Machine) -> str:
    """What a run's memory is taken by, and what there is."""
    weights, rest = needed.weights_bytes / 1e9, needed.activations_bytes / 1e9
    averaged = ", their mean" if config.ema else ""
    each = " of each process" if machine.processes > 1 else ""
    return (
        f"Memory{each}: {weights + rest:.1f} GB, {weights:.1f} for {needed.parameters / 1e6:.0f}M weights{averaged}, gradients "
        f"and moments, {rest:.1f} for the activations of {config.pack_rows:,} rows; {machine.memory_bytes / 1e9:.1f} GB are free"
    )


def _time_line(needed: ResourceEstimate, config: TrainConfig, music: CorpusSize, machine: Machine) -> str:
    """What a run's time is, at the speed that was measured."""
    seconds = needed.seconds(machine)
    steps = int(60 * config.minutes / seconds)
    held = "1 step" if steps == 1 else f"{steps:,} steps"
    return (
        f"Time: about {duration(seconds)} a step of {needed.rows:,} rows, at {machine.flops_per_second / 1e12:.2g} TFLOP/s; "
        f"{config.minutes:g} minutes hold {held} ({LEAST_STEPS} are the least); one pass over the corpus "
        f"({music.rows:,} rows) takes {duration(seconds * passes(needed, music))}"
    )


def passes(needed: ResourceEstimate, music: CorpusSize) -> float:
    """Steps of one pass over the corpus; less than 1 where a step holds more."""
    return music.rows / needed.rows


def _others(wish: FittingRun) -> Iterator[tuple[FittingRun, dict[str, Any]]]:
    """What could be done instead, the nearest to what was wished first, and the options that it takes."""
    context = wish.name.config.context
    if wish.config.pack_rows > context:
        yield replace(wish, config=replace(wish.config, pack_rows=context)), {"pack_rows": context}
    if not wish.config.checkpointing:
        yield replace(wish, config=replace(wish.config, checkpointing=True)), {"checkpointing": True}
    sizes = list(PRESETS)
    for size in reversed(sizes[: sizes.index(wish.name.size)]):
        name = replace(wish.name, size=size)
        config = replace(wish.config, pack_rows=CONTEXTS * PRESETS[size].context)
        yield replace(wish, name=name, config=config), {"model": str(name), "pack_rows": None}
