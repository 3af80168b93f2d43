"""The loss of a trained model on the validation and test pieces of its run, on the CPU in float32."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.json_spec import read_json
from analysis.reading import Reading
from meloctl.dataset.corpus_rows import corpus_rows
from meloctl.dataset.windows import windows
from meloctl.evaluation.window_loss import NO_LOSS, PREFIX_LENGTHS, prefix_losses, window_loss
from meloctl.model.checkpoint import ModelDescription, load_model, read_description
from meloctl.model.registry import ModelName, model_name
from meloctl.progress import ProgressReporter
from meloctl.rows.codec import Rows
from meloctl.threads import new_tuner, using_threads
from meloctl.workspace import MANIFEST, Workspace

SIDES = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """The corpus and model of a training run, from its manifest."""

    corpus: Path
    reading: Reading
    """How its files were read."""

    name: ModelName
    changed: bool
    """Whether files of the corpus have changed since training."""

    fingerprint: str
    """Of the files as they are now."""


def trained_on(run: Path, *, field: str | None = None) -> TrainedOn:
    """Read what a run of `meloctl train` was trained on.

    Args:
        field: parameter that named the run, for errors.

    Raises:
        MeloError: not such a run, or its corpus is gone.
    """

    def mistake(message: str) -> MeloError:
        return MeloError(message, field=field, given=run)

    path = run / MANIFEST
    if not path.is_file():
        raise mistake("not a finished run of meloctl train; give its folder, as melo/model/NAME")
    data = read_json(path, what="manifest")
    inputs, options = (data.get(k) if isinstance(data, dict) else None for k in ("inputs", "options"))
    if not isinstance(inputs, dict) or not isinstance(options, dict) or not isinstance(inputs.get("corpus"), str):
        raise mistake(f"its {MANIFEST} is not that of a run of meloctl train; give such a run")
    corpus, name = Path(inputs["corpus"]), options.get("model")
    if not isinstance(name, str):
        raise mistake(f"its {MANIFEST} does not say what was trained; give a run of meloctl train")
    now = fingerprint(find_files(corpus), corpus)
    return TrainedOn(
        corpus=corpus,
        reading=Reading.from_json(inputs, where=str(path)),
        name=model_name(name, size="tiny"),
        changed=now != inputs.get("fingerprint"),
        fingerprint=now,
    )


def held_out_loss(
    space: Workspace, run: Path, reporter: ProgressReporter, *, threads: int | None = None
) -> dict[str, Any]:
    """Loss of a run's model on its validation and test pieces, in windows as in training, and on the first rows of each.

    Args:
        threads: that compute; None: the fastest number, by the time of the windows themselves.

    Returns:
        The "model" of evaluation.json: see docs/formats.md.

    Raises:
        MeloError: see `trained_on`; damaged weights or rows.
    """
    about, trained = read_description(run), trained_on(run, field="model")
    model, _ = load_model(run)
    pieces = held_out_pieces(space, trained, about, reporter)
    cut = {name: windows(some, about.config.context, about.vocabulary) for name, some in pieces.items()}
    side = "test" if pieces["test"] else "validation"
    reporter.stage("held-out pieces", sum(map(len, cut.values())) + len(pieces[side]))
    losses, by_length = dict.fromkeys(SIDES, NO_LOSS), dict.fromkeys(PREFIX_LENGTHS, NO_LOSS)
    tuner = new_tuner(threads)
    for name, some in cut.items():
        for window in some:
            with tuner.timed(len(window.rows)):
                losses[name] += window_loss(model, window)
            reporter.advance()
    with using_threads(tuner.best):
        for rows in pieces[side]:
            for n, loss in prefix_losses(model, rows, PREFIX_LENGTHS).items():
                by_length[n] += loss
            reporter.advance()
    return {
        "run": run.name,
        "context": about.config.context,
        "corpus_changed": trained.changed,
        "pieces": {name: len(some) for name, some in pieces.items()},
        "windows": {name: loss.to_json() for name, loss in losses.items() if loss.rows},
        "by_length": {"side": side, "rows": {str(n): loss.to_json() for n, loss in by_length.items() if loss.rows}},
    }


def held_out_pieces(
    space: Workspace, trained: TrainedOn, about: ModelDescription, reporter: ProgressReporter
) -> dict[str, list[Rows]]:
    """{side: (L, F) rows of each piece} of a run's corpus; rows that training has cached are used again.

    Raises:
        MeloError: no file can be read, or none is held out.
    """
    shard = corpus_rows(
        space.cache,
        find_files(trained.corpus),
        about.vocabulary,
        reporter,
        corpus=str(trained.corpus),
        fingerprint=trained.fingerprint,
        reading=trained.reading,
    )
    pieces = {side: shard.of_split(side) for side in SIDES}
    if not pieces["validation"]:
        raise MeloError(f"{trained.corpus}: no piece of it is held out for validation; give a run of a larger corpus")
    return pieces
