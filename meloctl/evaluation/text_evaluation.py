"""One `meloctl evaluate --text`: which model is judged by which texts, and the files of the run."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from analysis.atomic_write import atomic_write_text
from analysis.corpus import SkippedFile, find_files, fingerprint, read_files
from analysis.errors import MeloError
from analysis.reading import AS_IT_STANDS, READER
from meloctl.bridge.bridge_file import DESCRIPTION, MADE_BY, WEIGHTS
from meloctl.evaluation.options import EvaluateOptions
from meloctl.evaluation.plan_rivals import PlannedCorpus
from meloctl.evaluation.text_cases import TextCases, text_cases
from meloctl.evaluation.text_cells import CellMaker, cells_of, measure_cells
from meloctl.evaluation.text_evaluation_json import FORMAT, TextResults
from meloctl.evaluation.text_evaluation_tables import text_evaluation_page
from meloctl.evaluation.text_music import TRAIN_WORDS, BridgedMusic
from meloctl.generation.options import Sampling
from meloctl.generation.steering import bridge_folder, bridge_inputs
from meloctl.progress import ProgressReporter
from meloctl.rows.attributes import bar_attributes
from meloctl.rows.codec import encode
from meloctl.text.text_reading import reader
from meloctl.threads import check_threads, using_threads
from meloctl.weights.default_weights import chosen_model, model_label
from meloctl.workspace import Recipe, Run, RunOutput, Workspace, file_hash, text_hash

TEXT_EVALUATION_JSON, TEXT_EVALUATION_HTML = "text_evaluation.json", "text_evaluation.html"


def evaluate_texts(space: Workspace, options: EvaluateOptions, reporter: ProgressReporter) -> Run:
    """The finished run of options for texts: the one that is there already, else a new one, which goes on where it was stopped.

    Raises:
        MeloError: a model without plans or without a bridge, a reference without MIDI; another command at work on the same run.
    """
    check_threads(options.threads)
    folder = chosen_model(space, None if options.model is None else str(options.model))
    weights = file_hash(folder / "model.safetensors")
    bridge = options.bridge or bridge_folder(space, weights, reader().encoder.fingerprint)
    for name in (WEIGHTS, DESCRIPTION):
        if not (bridge / name).is_file():
            raise MeloError(f"no {name} in it; make a bridge with: {MADE_BY}", field="bridge", given=bridge)
    files = find_files(options.reference) if options.reference else []
    (pieces, bars), cases = options.text_size, text_cases()
    understood = _understood(cases)
    recipe = Recipe(
        stage="eval",
        command="evaluate",
        inputs={
            "format": FORMAT,
            "reader": READER,
            "model": {"path": str(folder.resolve()), "weights": weights},
            **bridge_inputs(bridge),
            "sampling": asdict(Sampling()),
            "texts": cases.to_json(),
            "read": text_hash("\n".join(line for lines in understood.values() for line in lines)),
            "reference": fingerprint(files, options.reference) if options.reference else None,
        },
        options={"text": True, "pieces": pieces, "bars": bars, "seed": options.seed},
        label=f"text-{model_label(folder)}",
    )

    def make(run: Path) -> RunOutput:
        with using_threads(options.threads or 1):
            found = _evaluate(run, BridgedMusic(folder, bridge), cases, files, options, reporter)
        return _write(run, {"format": FORMAT, "model": model_label(folder), "understood": understood, **found})

    return space.once(recipe, make)


def _evaluate(
    run: Path,
    music: BridgedMusic,
    cases: TextCases,
    files: list[Path],
    options: EvaluateOptions,
    reporter: ProgressReporter,
) -> dict[str, Any]:
    """What was found in all cells of the cases, and of how many pieces.

    Args:
        files: of the reference.
    """
    pieces, bars = options.text_size
    before = music.weights_hash()
    corpus = _planned_corpus(files, music, reporter) if files else None
    maker = CellMaker(
        music=music,
        vocabulary=music.vocabulary,
        corpus=corpus,
        pieces=pieces,
        bars=bars,
        seed=options.seed,
    )
    cells = cells_of(cases, rivals=corpus is not None)
    reporter.stage("writing and measuring", len(cells))
    measured = measure_cells(maker, cells, run, reporter.advance)
    real = None
    if corpus is not None:
        real = np.stack([corpus.plans[first : first + bars] for first in corpus.spans(bars)])
    results = TextResults(cases, measured, music.scale, options.seed).to_json(real)
    return {
        "weights_before": before,
        "weights_after": music.weights_hash(),
        "pieces": pieces,
        "bars": bars,
        "seed": options.seed,
        **results,
    }


def _write(run: Path, found: dict[str, Any]) -> RunOutput:
    """The files of the run."""
    atomic_write_text(
        run / TEXT_EVALUATION_JSON, json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )
    atomic_write_text(run / TEXT_EVALUATION_HTML, text_evaluation_page(found))
    return RunOutput(files=[TEXT_EVALUATION_JSON, TEXT_EVALUATION_HTML], results=found["summary"])


def _understood(cases: TextCases) -> dict[str, list[str]]:
    """{text: what the reader in use takes it to ask for, and what one to which its words are new does}."""
    readers = reader(), reader(splits=TRAIN_WORDS)
    return {text: [one.read(text).line() for one in readers] for texts in cases.requests() for text in texts}


def _planned_corpus(files: list[Path], music: BridgedMusic, reporter: ProgressReporter) -> PlannedCorpus:
    """Plans and levels of every bar of real pieces. Raises MeloError where no file can be read."""
    reporter.stage("plans of the reference", len(files))
    plans, levels = [], []
    for found in read_files(files, reading=AS_IT_STANDS, on_file=reporter.advance):
        if not isinstance(found, SkippedFile):
            rows, _ = encode(found.piece, music.vocabulary)
            plans.append(music.plans_of(rows))
            levels.append(music.scale.levels(bar_attributes(rows, music.vocabulary)))
    if not plans:
        raise MeloError("no file of it could be read; run meloctl corpus check on it to see why", field="reference")
    first = np.cumsum([0, *map(len, plans)])
    return PlannedCorpus(plans=np.concatenate(plans).astype(np.float64), levels=np.concatenate(levels), first=first)
