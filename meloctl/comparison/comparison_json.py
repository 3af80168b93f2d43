"""The parts of comparison.json: see `meloctl.comparison/2` in docs/formats.md."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from analysis.arrays import Floats
from analysis.intervals import Estimate, resample_counts
from meloctl.comparison.forward_timing import ratio_over_rounds
from meloctl.comparison.held_out_loss import BitsPerNote, bits_per_note, bits_per_note_difference
from meloctl.comparison.model_samples import BATCH_SIZE, ModelSamples
from meloctl.comparison.trained_runs import TrainedRun
from meloctl.evaluation.evaluation_json import (
    copying_json,
    curves_json,
    estimate_json,
    metrics_json,
    shared_with_reference,
    shared_within_reference,
    similarity_error_json,
)
from meloctl.evaluation.music_metrics import MusicMetrics
from meloctl.evaluation.window_loss import LossTotals
from meloctl.model.meloformer.model import n_parameters
from meloctl.model.registry import Model

FORMAT = "meloctl.comparison/2"


def run_json(run: TrainedRun, model: Model) -> dict[str, Any]:
    """What a run is, and how it was trained."""
    seconds = run.recorded_number("seconds")
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
            "steps": run.recorded_number("steps"),
            "why": run.recorded.get("why"),
            "rows_per_second": run.recorded_number("rows_per_second"),
            "notes_per_second": run.recorded_number("notes_per_second"),
            "peak_bytes": run.recorded_number("peak_bytes"),
        },
    }


def held_out_json(losses: Sequence[LossTotals]) -> dict[str, int]:
    """Number of held-out pieces, and of their rows and notes that every run predicts."""
    total = sum(losses[1:], start=losses[0])
    return {"pieces": len(losses), "rows": total.rows, "notes": total.notes}


def losses_json(losses: Sequence[Sequence[LossTotals]], seed: int) -> list[dict[str, Any]]:
    """A QUALITY of each run: bits a note over the same pieces, and the difference to the first run's.

    Args:
        losses: (runs, P) from `paired_losses`.
        seed: of the resamples.
    """
    counts = resample_counts(len(losses[0]), np.random.default_rng(seed))
    out = []
    for m, run in enumerate(losses):
        difference = bits_per_note_difference(run, losses[0], counts) if m else None
        out.append(quality_json(bits_per_note(run, counts), difference))
    return out


def quality_json(bits: BitsPerNote, difference: BitsPerNote | None) -> dict[str, Any]:
    """A run's bits a note with intervals, in all and by field; `difference` is None for the first run."""
    fields = {}
    for name, estimate in bits.fields.items():
        fields[name] = _bits_json(estimate, difference.fields[name] if difference else None)
    return {**_bits_json(bits.total, difference.total if difference else None), "fields": fields}


def _bits_json(bits: Estimate, difference: Estimate | None) -> dict[str, Any]:
    value, interval = estimate_json(bits)
    delta, delta_interval = estimate_json(difference) if difference else (None, None)
    return {
        "bits_per_note": value,
        "interval": interval,
        "difference": delta,
        "difference_interval": delta_interval,
    }


def pairs_json(losses: Sequence[Sequence[LossTotals]], letters: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """Bits a note of the later run of each pair minus those of the earlier one, its baseline.

    Args:
        losses: (runs, P) from `paired_losses`.
        letters: of the runs.
        seed: of the resamples.
    """
    counts = resample_counts(len(losses[0]), np.random.default_rng(seed))
    out = []
    for i in range(len(losses)):
        for j in range(i + 1, len(losses)):
            difference, interval = estimate_json(bits_per_note_difference(losses[j], losses[i], counts).total)
            out.append({"run": letters[j], "baseline": letters[i], "difference": difference, "interval": interval})
    return out


def forward_json(rounds: Floats, m: int) -> dict[str, Any]:
    """Seconds for 1,000 rows of run m, and their ratio to the first run's. `rounds`: (rounds, runs) from `forward_seconds`."""
    ratio, quartiles = ratio_over_rounds(rounds[:, m], rounds[:, 0])
    return {
        "seconds_per_thousand_rows": float(np.median(rounds[:, m])),
        "ratio": ratio,
        "ratio_range": quartiles,
        "rounds": len(rounds),
    }


def generation_json(samples: ModelSamples | None, first: ModelSamples | None) -> dict[str, Any]:
    """Speed of generation, its ratio to the first run's batch by batch, and memory of cached keys and values.

    Args:
        samples: of the run; None where no music was requested.
        first: of the first run.
    """
    if samples is None or samples.error is not None:
        numbers = ("notes_per_second", "ratio", "ratio_range", "cache_bytes", "cache_bytes_per_row", "batch_size")
        return {"error": samples.error if samples else "no pieces were requested", **dict.fromkeys(numbers)}
    rates = first.notes_per_second if first else []  # none where the first run cannot generate
    ratio, quartiles = ratio_over_rounds(np.array(samples.notes_per_second), np.array(rates)) if rates else (None, None)
    return {
        "error": None,
        "notes_per_second": float(np.median(samples.notes_per_second)),
        "ratio": ratio,
        "ratio_range": quartiles,
        "cache_bytes": max(samples.cache_bytes),
        "cache_bytes_per_row": float(np.median(samples.cache_bytes_per_row)),
        "batch_size": min(BATCH_SIZE, len(samples.files)),
    }


def samples_json(music: MusicMetrics, reference: MusicMetrics, *, seed: int) -> dict[str, Any]:
    """One run's music compared with the corpus: metrics, curves, Similarity Error and copies, as in `meloctl.evaluation/2`."""
    random = np.random.default_rng(seed)
    return {
        "pieces": len(music),
        "bars": int(music.bars.sum()),
        "notes": int(music.notes.sum()),
        "metrics": metrics_json(music, reference, random),
        "curves": curves_json(music, reference),
        "similarity_error": similarity_error_json(music, reference, random),
        "copying": copying_json(shared_with_reference(music, reference)),
    }


def within_reference_json(reference: MusicMetrics, *, seed: int) -> dict[str, Any] | None:
    """What the corpus's pieces share with each other; None where there is only one."""
    if len(reference) < 2:
        return None
    return copying_json(shared_within_reference(reference, np.random.default_rng(seed)))


def seed_groups(runs: Sequence[TrainedRun]) -> list[list[str]]:
    """Groups of runs that differ in their seed alone, as their letters."""
    groups: list[list[TrainedRun]] = []
    for run in runs:
        group = next((g for g in groups if g[0].recipe == run.recipe), None)
        if group is None:
            groups.append([run])
        elif run.options.get("seed") not in [other.options.get("seed") for other in group]:
            group.append(run)
    return [[run.letter for run in group] for group in groups if len(group) > 1]
