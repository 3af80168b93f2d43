"""What the pieces that a finished training run held out cost the model that it left. On the CPU, in float32."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.json_file import read_json
from analysis.piece import meter as parse_meter
from meloctl.dataset.windows import windows
from meloctl.evaluation.cost import NOTHING, costs_by_length, window_cost
from meloctl.model.checkpoint import About, load_model, read_about
from meloctl.model.registry import ModelName, model_name
from meloctl.progress import ProgressReporter
from meloctl.rows.codec import Rows
from meloctl.training.data import data_of
from meloctl.training.options import TrainPlan
from meloctl.training.train_config import TrainConfig
from meloctl.workspace import MANIFEST, Recipe, Workspace

SIDES = ("validation", "test")


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """What a training run read, by its manifest."""

    corpus: Path
    meter: str | None
    name: ModelName
    changed: bool
    """Files of the corpus are not those that it was trained on."""

    fingerprint: str
    """Of the files that are there now."""


def trained_on(run: Path, *, given: str) -> TrainedOn:
    """What a run of `meloctl train` read.

    Args:
        given: how the run was named, for errors: "--model melo/model/NAME".

    Raises:
        MeloError: not such a run, or its corpus is gone.
    """
    path = run / MANIFEST
    if not path.is_file():
        raise MeloError(f"{given}: not a finished run of meloctl train; give its folder, as melo/model/NAME")
    data = read_json(path, what="manifest")
    inputs, options = (data.get(k) if isinstance(data, dict) else None for k in ("inputs", "options"))
    if not isinstance(inputs, dict) or not isinstance(options, dict) or not isinstance(inputs.get("corpus"), str):
        raise MeloError(f"{given}: its {MANIFEST} is not that of a run of meloctl train; give such a run")
    corpus, meter, name = Path(inputs["corpus"]), inputs.get("meter"), options.get("model")
    if not isinstance(name, str) or not isinstance(meter, str | None):
        raise MeloError(f"{given}: its {MANIFEST} does not say what was trained; give a run of meloctl train")
    now = fingerprint(find_files(corpus), corpus)
    return TrainedOn(
        corpus=corpus,
        meter=meter,
        name=model_name(name, size="tiny"),
        changed=now != inputs.get("fingerprint"),
        fingerprint=now,
    )


def judge_model(space: Workspace, run: Path, reporter: ProgressReporter) -> dict[str, Any]:
    """What the pieces that a run held out cost its model: both sides in windows as in training, and by length.

    Returns:
        The "model" of evaluation.json: see docs/formats.md.

    Raises:
        MeloError: see `trained_on`; damaged weights or rows.
    """
    about, told = read_about(run), trained_on(run, given=f"--model {run}")
    model, _ = load_model(run)
    pieces = held_out_pieces(space, told, about, reporter)
    cut = {name: windows(some, about.config.context, about.vocabulary) for name, some in pieces.items()}
    side = "test" if pieces["test"] else "validation"
    reporter.stage("hearing", sum(map(len, cut.values())) + len(pieces[side]))
    costs = dict.fromkeys(SIDES, NOTHING)
    for name, some in cut.items():
        for window in some:
            costs[name] += window_cost(model, window)
            reporter.advance()
    by_length = costs_by_length(model, pieces[side], on_piece=reporter.advance)
    return {
        "run": run.name,
        "context": about.config.context,
        "corpus_changed": told.changed,
        "pieces": {name: len(some) for name, some in pieces.items()},
        "windows": {name: cost.to_json() for name, cost in costs.items() if cost.rows},
        "by_length": {"side": side, "rows": {str(n): cost.to_json() for n, cost in by_length.items() if cost.rows}},
    }


def held_out_pieces(
    space: Workspace, told: TrainedOn, about: About, reporter: ProgressReporter
) -> dict[str, list[Rows]]:
    """{side: (L, 8) rows of each piece}; the rows that were made for training are used again."""
    recipe = Recipe(
        stage="model",
        command="train",
        inputs={"corpus": str(told.corpus), "fingerprint": told.fingerprint},
        options={},
        label=str(told.name),
    )
    session = TrainPlan(
        recipe=recipe,
        name=told.name,
        spec=None,
        paths=find_files(told.corpus),
        meter=parse_meter(told.meter) if told.meter else None,
        config=TrainConfig(seed=0, packs=1, pack_rows=about.config.context, learning_rate=1e-3, minutes=1.0),
        shard=None,
        notes=[],
    )
    shard = data_of(space, session, about.vocabulary, reporter).shard
    return {side: shard.of_split(side) for side in SIDES}
