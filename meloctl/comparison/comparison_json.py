"""Everything that is found out about runs side by side, as JSON: see `meloctl.comparison/1` in docs/formats.md."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.arrays import Floats
from meloctl.comparison.forward_timing import times
from meloctl.comparison.held_out_loss import Bits, bits_apart, bits_of, lots
from meloctl.comparison.model_samples import SIDE_BY_SIDE, ModelSamples
from meloctl.comparison.trained_runs import TrainedRun
from meloctl.evaluation.cost import Cost
from meloctl.evaluation.evaluation_json import told
from meloctl.evaluation.intervals import Estimate
from meloctl.model.meloformer.model import n_parameters
from meloctl.model.registry import Model

FORMAT = "meloctl.comparison/1"


def run_facts(run: TrainedRun, model: Model) -> dict[str, Any]:
    """What a run is, and how it was trained."""
    seconds = run.number("seconds")
    return {
        "letter": run.letter,
        "name": run.name,
        "path": str(run.folder),
        "architecture": run.about.architecture,
        "model": str(run.on.name),
        "mask": run.mask,
        "density": run.density,
        "context": run.about.config.context,
        "parameters": n_parameters(model),
        "training": {
            "seed": run.options.get("seed"),
            "infill": run.about.infill,
            "minutes": None if seconds is None else seconds / 60,
            "steps": run.number("steps"),
            "why": run.recorded.get("why"),
            "rows_per_second": run.number("rows_per_second"),
            "notes_per_second": run.number("notes_per_second"),
            "peak_bytes": run.number("peak_bytes"),
        },
    }


def heard_facts(costs: Sequence[Cost]) -> dict[str, int]:
    """Which music was heard: pieces, and the rows and notes of it that count for every run."""
    total = sum(costs[1:], start=costs[0])
    return {"pieces": len(costs), "rows": total.rows, "notes": total.notes}


def side_facts(costs: Sequence[Sequence[Cost]], seed: int) -> list[dict[str, Any]]:
    """Of each run, its bits a note over the same pieces, and how much more they are than the first run's."""
    weights = lots(len(costs[0]), seed)
    out = []
    for m, mine in enumerate(costs):
        apart = bits_apart(mine, costs[0], weights) if m else None
        out.append(quality_facts(bits_of(mine, weights), apart))
    return out


def quality_facts(bits: Bits, apart: Bits | None) -> dict[str, Any]:
    """A run's bits a note with intervals; `apart` is None for the first run, which is compared with nothing."""
    fields = {}
    for name, estimate in bits.fields.items():
        fields[name] = _told(estimate, apart.fields[name] if apart else None)
    return {**_told(bits.every, apart.every if apart else None), "fields": fields}


def _told(bits: Estimate, apart: Estimate | None) -> dict[str, Any]:
    value, interval = told(bits)
    difference, difference_interval = told(apart) if apart else (None, None)
    return {
        "bits_per_note": value,
        "interval": interval,
        "difference": difference,
        "difference_interval": difference_interval,
    }


def pair_facts(costs: Sequence[Sequence[Cost]], letters: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """Of each pair of runs, how much more bits a note the second takes than the first."""
    weights, out = lots(len(costs[0]), seed), []
    for i in range(len(costs)):
        for j in range(i + 1, len(costs)):
            difference, interval = told(bits_apart(costs[j], costs[i], weights).every)
            out.append({"of": letters[j], "to": letters[i], "difference": difference, "interval": interval})
    return out


def forward_facts(rounds: Floats, m: int) -> dict[str, Any]:
    """Seconds for a thousand rows, and times the first run's, of rounds (rounds, runs)."""
    ratio, half = times(rounds[:, m], rounds[:, 0])
    return {
        "seconds_per_thousand_rows": float(np.median(rounds[:, m])),
        "ratio": ratio,
        "ratio_range": half,
        "rounds": len(rounds),
    }


def writing_facts(pen: ModelSamples | None, first: ModelSamples | None) -> dict[str, Any]:
    """How fast a run writes, times the first run, turn by turn, and the memory of its keys and values.

    Args:
        pen: None where no music was asked for.
        first: the first run's.
    """
    if pen is None or pen.why_not is not None:
        numbers = ("notes_per_second", "ratio", "ratio_range", "cache_bytes", "cache_bytes_per_row", "side_by_side")
        return {"why_not": pen.why_not if pen else "not asked for: --pieces 0", **dict.fromkeys(numbers)}
    rates = first.rates if first else []  # none where it cannot write
    ratio, half = times(np.array(pen.rates), np.array(rates)) if rates else (None, None)
    return {
        "why_not": None,
        "notes_per_second": float(np.median(pen.rates)),
        "ratio": ratio,
        "ratio_range": half,
        "cache_bytes": max(pen.cache_bytes),
        "cache_bytes_per_row": float(np.median(pen.cache_bytes_per_row)),
        "side_by_side": min(SIDE_BY_SIDE, len(pen.files)),
    }


def seeds_apart(runs: Sequence[TrainedRun]) -> list[list[str]]:
    """Letters of runs that differ in their seed alone, group by group."""
    groups: list[list[TrainedRun]] = []
    for run in runs:
        group = next((g for g in groups if g[0].recipe == run.recipe), None)
        if group is None:
            groups.append([run])
        elif run.options.get("seed") not in [other.options.get("seed") for other in group]:
            group.append(run)
    return [[run.letter for run in group] for group in groups if len(group) > 1]
