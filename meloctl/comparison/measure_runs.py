"""All that is measured of several runs: loss on held-out music, time of the forward pass, and the music they generate."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from analysis.corpus import find_files
from meloctl.comparison.comparison_json import (
    FORMAT,
    forward_json,
    generation_json,
    held_out_json,
    losses_json,
    pairs_json,
    run_json,
    samples_json,
    seed_groups,
    within_reference_json,
)
from meloctl.comparison.forward_timing import MOST_ROUNDS, forward_seconds, sample_packs
from meloctl.comparison.held_out_loss import paired_losses, paired_prefix_losses, useful_prefix_lengths
from meloctl.comparison.model_samples import ModelSamples, generate_samples
from meloctl.comparison.options import CompareOptions
from meloctl.comparison.trained_runs import TrainedRun
from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import Window, windows
from meloctl.evaluation.evaluation_json import music_set_json
from meloctl.evaluation.held_out import SIDES
from meloctl.evaluation.music_metrics import measure_files
from meloctl.machine import computes_in_half
from meloctl.model.registry import Model
from meloctl.progress import ProgressReporter
from meloctl.rows.codec import Rows
from meloctl.threads import DECODING_THREADS, new_tuner, using_threads


def measure_runs(
    runs: Sequence[TrainedRun],
    models: Sequence[Model],
    pieces: dict[str, list[Rows]],
    options: CompareOptions,
    folder: Path,
    reporter: ProgressReporter,
) -> tuple[dict[str, Any], list[Path]]:
    """The object of comparison.json without notes and conclusions, and the generated MIDI files.

    Args:
        runs: that are compared.
        models: of the runs, in evaluation mode.
        pieces: {side: (L, F) rows of each held-out piece}.
        options: how much music is generated.
        folder: for the MIDI files.
        reporter: of progress.
    """
    comparison = _loss_and_time(runs, models, pieces, options, reporter)
    samples = _generate(runs, models, options, folder, reporter) if options.pieces else []
    for m, run in enumerate(comparison["runs"]):
        run["generation"] = generation_json(samples[m] if samples else None, samples[0] if samples else None)
        run["music"] = None
    comparison["music"] = None
    if any(one.files for one in samples):
        _add_music(comparison, runs[0], samples, options, reporter)
    return comparison, [path for one in samples for path in one.files]


def _loss_and_time(
    runs: Sequence[TrainedRun],
    models: Sequence[Model],
    pieces: dict[str, list[Rows]],
    options: CompareOptions,
    reporter: ProgressReporter,
) -> dict[str, Any]:
    """Loss on held-out pieces, and time of the forward pass, of all runs with one number of threads."""
    seed, tuners = options.seed, [new_tuner(options.threads) for _ in models]
    context, letters = min(run.about.config.context for run in runs), [run.letter for run in runs]
    side = "test" if pieces["test"] else "validation"
    cut = {name: windows(some, context, models[0].vocabulary) for name, some in pieces.items()}
    reporter.stage("held-out loss", len(models) * sum(map(len, cut.values())))
    losses = {
        name: paired_losses(models, some, context, tuners=tuners, on_window=reporter.advance)
        for name, some in pieces.items()
        if some
    }
    threads = tuners[0].best
    by_length = {}
    if lengths := useful_prefix_lengths(pieces[side], context):
        reporter.stage("loss of whole pieces", len(models) * len(pieces[side]))
        with using_threads(threads):
            by_length = paired_prefix_losses(models, pieces[side], lengths, on_piece=reporter.advance)
    reporter.stage("timing forward passes", MOST_ROUNDS)
    half = computes_in_half("cpu")
    with using_threads(threads):
        rounds = forward_seconds(models, sample_packs(cut[side], context), half=half, on_round=reporter.advance)
    quality = {name: losses_json(some, seed) for name, some in losses.items()}
    quality_by_length = {str(n): losses_json(some, seed) for n, some in by_length.items()}
    return {
        "format": FORMAT,
        "corpus": {"path": str(runs[0].on.corpus), **runs[0].on.reading.to_json(), "changed": runs[0].on.changed},
        "held_out": {
            "side": side,
            "context": context,
            **{name: held_out_json(losses[name][0]) if name in losses else None for name in SIDES},
            "left_out": _left_out(models, cut[side], letters),
        },
        "machine": {"threads": threads, "bf16": half},
        "seed_groups": seed_groups(runs),
        "runs": [
            {
                **run_json(run, model),
                "bits": {name: quality[name][m] if name in quality else None for name in SIDES},
                "by_length": {n: some[m] for n, some in quality_by_length.items()},
                "forward": forward_json(rounds, m),
            }
            for m, (run, model) in enumerate(zip(runs, models, strict=True))
        ],
        "pairs": pairs_json(losses[side], letters, seed),
    }


def _left_out(models: Sequence[Model], cut: Sequence[Window], letters: Sequence[str]) -> dict[str, Any] | None:
    """How many rows some runs predict and others do not, and which do not; None where all predict the same."""
    mask = np.array([np.concatenate([model.loss_mask(pack_of([w])) for w in cut]) for model in models])
    some, every = mask.any(axis=0), mask.all(axis=0)
    if (some == every).all():
        return None
    missing = [letter for letter, own in zip(letters, mask, strict=True) if (own < some).any()]
    return {"rows": int(some.sum() - every.sum()), "of": int(some.sum()), "because_of": missing}


def _generate(
    runs: Sequence[TrainedRun],
    models: Sequence[Model],
    options: CompareOptions,
    folder: Path,
    reporter: ProgressReporter,
) -> list[ModelSamples]:
    """The pieces of every run."""
    samples = [
        ModelSamples(model=model, folder=folder / f"{run.letter}-{run.name}")
        for run, model in zip(runs, models, strict=True)
    ]
    reporter.stage("generating bars", len(samples) * options.pieces * options.bars)
    seeds = range(options.seed, options.seed + options.pieces)
    with using_threads(options.threads or DECODING_THREADS):
        generate_samples(samples, seeds, options.bars, half=computes_in_half("cpu"), on_bar=reporter.advance)
    return samples


def _add_music(
    comparison: dict[str, Any],
    first: TrainedRun,
    samples: Sequence[ModelSamples],
    options: CompareOptions,
    reporter: ProgressReporter,
) -> None:
    """Add each run's music, compared with the corpus, to the object of comparison.json."""
    corpus, reading = first.on.corpus, first.on.reading
    files = find_files(corpus)
    reporter.stage("measuring the corpus", len(files))
    reference = measure_files(files, reading=reading, on_file=reporter.advance)
    comparison["music"] = {
        "pieces": options.pieces,
        "bars": options.bars,
        "seed": options.seed,
        "reference": music_set_json(reference, str(corpus), reading),
        "among_reference": within_reference_json(reference, seed=options.seed),
    }
    reporter.stage("measuring the runs' music", len(samples))
    for run, one in zip(comparison["runs"], samples, strict=True):
        if one.files:
            music = samples_json(measure_files(one.files), reference, seed=options.seed)
            run["music"] = {"folder": f"{one.folder.parent.name}/{one.folder.name}", **music}
        reporter.advance()
