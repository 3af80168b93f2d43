"""All that is measured of runs side by side: what held-out music costs them, in bits and in time, and what they write."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.corpus import find_files
from analysis.piece import meter as parse_meter
from meloctl.comparison.comparison_json import (
    FORMAT,
    forward_facts,
    heard_facts,
    pair_facts,
    run_facts,
    seeds_apart,
    side_facts,
    writing_facts,
)
from meloctl.comparison.forward_timing import MOST_ROUNDS, forward_seconds, sample_packs
from meloctl.comparison.held_out_loss import hear, hear_by_length, lengths_heard
from meloctl.comparison.model_samples import ModelSamples, among_facts, music_facts, write_music
from meloctl.comparison.trained_runs import TrainedRun
from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import Window, windows
from meloctl.evaluation.evaluation_json import set_facts
from meloctl.evaluation.held_out import SIDES
from meloctl.evaluation.music_metrics import judged
from meloctl.machine import computes_in_half
from meloctl.model.registry import Model
from meloctl.progress import ProgressReporter
from meloctl.rows.codec import Rows


@dataclass(frozen=True, kw_only=True)
class SampleRequest:
    """What the models are to write."""

    pieces: int = 20
    """Of each model; 0 leaves music out."""

    bars: int = 32
    seed: int = 0
    """Of the first piece; those of the others follow. Also of the lots for intervals."""


def measured(
    runs: Sequence[TrainedRun],
    models: Sequence[Model],
    pieces: dict[str, list[Rows]],
    music: SampleRequest,
    folder: Path,
    reporter: ProgressReporter,
) -> tuple[dict[str, Any], list[Path]]:
    """All facts but the notes and the verdict, and the files of music.

    Args:
        pieces: {side: rows of each piece} that were held out.
        folder: the music is written here.
    """
    facts = _heard(runs, models, pieces, music.seed, reporter)
    pens = _written(runs, models, music, folder, reporter)
    for m, told in enumerate(facts["runs"]):
        told["generation"] = writing_facts(pens[m] if pens else None, pens[0] if pens else None)
        told["music"] = None
    facts["music"] = None
    if any(pen.files for pen in pens):
        _judge(facts, runs[0], pens, music, reporter)
    return facts, [path for pen in pens for path in pen.files]


def _heard(
    runs: Sequence[TrainedRun],
    models: Sequence[Model],
    pieces: dict[str, list[Rows]],
    seed: int,
    reporter: ProgressReporter,
) -> dict[str, Any]:
    """What held-out music costs the models."""
    context, letters = min(run.about.config.context for run in runs), [run.letter for run in runs]
    side = "test" if pieces["test"] else "validation"
    cut = {name: windows(some, context, models[0].vocabulary) for name, some in pieces.items()}
    reporter.stage("hearing", len(models) * sum(map(len, cut.values())))
    costs = {name: hear(models, some, context, on_window=reporter.advance) for name, some in pieces.items() if some}
    by_length = {}
    if lengths := lengths_heard(pieces[side], context):
        reporter.stage("hearing whole pieces", len(models) * len(pieces[side]))
        by_length = hear_by_length(models, pieces[side], lengths, on_piece=reporter.advance)
    reporter.stage("timing in turns", MOST_ROUNDS)
    half = computes_in_half("cpu")
    rounds = forward_seconds(models, sample_packs(cut[side], context), half=half, on_round=reporter.advance)
    told = {name: side_facts(some, seed) for name, some in costs.items()}
    told_by_length = {str(n): side_facts(some, seed) for n, some in by_length.items()}
    return {
        "format": FORMAT,
        "corpus": {"path": str(runs[0].on.corpus), "meter": runs[0].on.meter, "changed": runs[0].on.changed},
        "heard": {
            "side": side,
            "context": context,
            **{name: heard_facts(costs[name][0]) if name in costs else None for name in SIDES},
            "left_out": _left_out(models, cut[side], letters),
        },
        "machine": {"threads": torch.get_num_threads(), "bf16": half},
        "seeds_apart": seeds_apart(runs),
        "runs": [
            {
                **run_facts(run, model),
                "bits": {name: told[name][m] if name in told else None for name in SIDES},
                "by_length": {n: some[m] for n, some in told_by_length.items()},
                "forward": forward_facts(rounds, m),
            }
            for m, (run, model) in enumerate(zip(runs, models, strict=True))
        ],
        "pairs": pair_facts(costs[side], letters, seed),
    }


def _left_out(models: Sequence[Model], cut: Sequence[Window], letters: Sequence[str]) -> dict[str, Any] | None:
    """How many rows count for some runs and not for others, and for which not; None where all count the same."""
    counted = np.array([np.concatenate([model.loss_mask(pack_of([w])) for w in cut]) for model in models])
    some, every = counted.any(axis=0), counted.all(axis=0)
    if (some == every).all():
        return None
    missing = [x for x, mine in zip(letters, counted, strict=True) if (mine < some).any()]
    return {"rows": int(some.sum() - every.sum()), "of": int(some.sum()), "because_of": missing}


def _written(
    runs: Sequence[TrainedRun], models: Sequence[Model], music: SampleRequest, folder: Path, reporter: ProgressReporter
) -> list[ModelSamples]:
    """The music of all; nothing where none was asked for."""
    if not music.pieces:
        return []
    pens = [
        ModelSamples(model=model, folder=folder / f"{run.letter}-{run.name}")
        for run, model in zip(runs, models, strict=True)
    ]
    reporter.stage("writing bars", len(pens) * music.pieces * music.bars)
    seeds = range(music.seed, music.seed + music.pieces)
    write_music(pens, seeds, music.bars, half=computes_in_half("cpu"), on_bar=reporter.advance)
    return pens


def _judge(
    facts: dict[str, Any],
    first: TrainedRun,
    pens: Sequence[ModelSamples],
    music: SampleRequest,
    reporter: ProgressReporter,
) -> None:
    """Add to the facts each run's music against the corpus."""
    corpus, meter = first.on.corpus, first.on.meter
    files = find_files(corpus)
    reporter.stage("reading the corpus", len(files))
    reference = judged(files, meter=parse_meter(meter) if meter else None, on_file=reporter.advance)
    facts["music"] = {
        "pieces": music.pieces,
        "bars": music.bars,
        "seed": music.seed,
        "reference": set_facts(reference, str(corpus), meter),
        "among_reference": among_facts(reference, seed=music.seed),
    }
    reporter.stage("judging", len(pens))
    for told, pen in zip(facts["runs"], pens, strict=True):
        if pen.files:
            mine = music_facts(judged(pen.files), reference, seed=music.seed)
            told["music"] = {"folder": f"{pen.folder.parent.name}/{pen.folder.name}", **mine}
        reporter.advance()
