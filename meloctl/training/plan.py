"""Plans a `meloctl train`: which model, mask, corpus and settings, checked against the workspace before anything is written."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from msgspec.structs import replace

from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.offset_table_file import read_curves
from analysis.reading import Reading
from masks.cost.row_pairs import mean_pairs
from masks.cost.sample import read_piece_rows, sample_files
from masks.describe import density
from masks.rules.baselines import with_priors
from masks.spec import MaskSpec
from meloctl import __version__
from meloctl.dataset.store import FORMAT as SHARD_FORMAT
from meloctl.model.bar_plans import PLAN_WIDTH
from meloctl.model.config import ModelConfig
from meloctl.model.registry import ModelName, infills, model_name, own_mask, takes_mask
from meloctl.rows.vocabulary import FORMAT as VOCABULARY_FORMAT
from meloctl.training.estimate import CorpusSize
from meloctl.training.options import (
    CONTEXTS,
    FINE_TUNING_RATE,
    INFILL,
    LEARNING_RATE,
    PACKS,
    TUNED_PLANS,
    TrainConfig,
    TrainOptions,
    train_config,
)
from meloctl.training.start import StartWeights, start_weights
from meloctl.workspace import Recipe, Run, Workspace

_SAMPLE = 50
"""Files that are read to estimate the size of a corpus before it is encoded."""

_TRAIN_SHARE = 0.8
"""Share of the pieces in the training split."""


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """A training run before it starts."""

    recipe: Recipe
    name: ModelName
    spec: MaskSpec | None
    """The mask; None for a model that has none."""

    paths: list[Path]
    reading: Reading
    config: TrainConfig
    start: StartWeights | None
    """The weights that training starts from; None: random ones."""

    shard: bool | None
    """Shard the model over several processes; None decides by the model's size."""

    notes: list[str]
    """For the user to read before it starts."""

    @property
    def model_config(self) -> ModelConfig:
        """Sizes of the model, of its plans too."""
        return replace(self.name.config, plan_width=PLAN_WIDTH if self.config.plans else 0)


def plan_training(space: Workspace, options: TrainOptions) -> TrainPlan:
    """Plan a run from the options and the workspace's latest statistics and mask; nothing is written.

    Raises:
        MeloError: options out of range, no statistics or mask yet, a corpus that is gone.
    """
    cuda = torch.cuda.is_available()
    start = start_weights(options)
    name = start.name if start else model_name(options.model, size="small" if cuda else "tiny")
    config = _config(options, name, start)
    if start:
        start.check_plans(config.plans)
    if options.gates and not takes_mask(name.architecture):
        raise MeloError(f"{name} has none; leave it out, or take `model {name.size}`", field="gates")
    if options.gate_price is not None and not options.gates:
        raise MeloError("without `gates` there is nothing to price; give both, or neither", field="gate_price")
    if options.mask and not takes_mask(name.architecture):
        raise MeloError(f"{name} takes no mask; leave it out, or take `model {name.size}`", field="mask")
    if config.infill and not infills(name.architecture):
        raise MeloError(f"{name} cannot infill; leave it out, or take `model {name.size}`", field="infill")
    if config.plans and not infills(name.architecture):
        raise MeloError(f"{name} knows no bar plans; leave it out, or take `model {name.size}`", field="plans")
    stats = space.latest("stats")
    corpus = Path(stats.manifest_value("inputs", "corpus"))
    reading = Reading.from_json(stats.manifest.options, where=stats.folder.name)
    paths = find_files(corpus)
    now = fingerprint(paths, corpus)
    notes = []
    if now != stats.manifest_value("inputs", "fingerprint"):
        notes.append(f"Note: files in {corpus} have changed since meloctl stats; training takes them as they are now")
    spec, more = _mask(space, stats, name, options.mask)
    recipe = Recipe(
        stage="model",
        command="train",
        inputs={
            "corpus": str(corpus),
            "fingerprint": now,
            **reading.to_json(),
            "rows": SHARD_FORMAT,
            "vocabulary": VOCABULARY_FORMAT,
            "mask": spec.to_json() if spec else None,
            **({"from": start.weights} if start else {}),
        },
        options={"model": str(name), **_recorded(config)},
        label=str(name).replace("/", "-") + ("-gates" if config.gates else "") + ("-tuned" if start else ""),
    )
    return TrainPlan(
        recipe=recipe,
        name=name,
        spec=spec,
        paths=paths,
        reading=reading,
        config=config,
        start=start,
        shard=options.shard,
        notes=[*notes, *more, *(start.notes(spec) if start else [])],
    )


def corpus_size(plan: TrainPlan) -> CorpusSize:
    """Size of a plan's corpus, estimated from a sample of its files. Raises MeloError when none can be read."""
    corpus, context = Path(plan.recipe.inputs["corpus"]), plan.name.config.context
    pieces = read_piece_rows(sample_files(plan.paths, corpus, _SAMPLE), reading=plan.reading)
    rows = np.array([piece.rows.sum() + 1 for piece in pieces])  # and the end row
    return CorpusSize(
        rows=int(rows.mean() * len(plan.paths) * _TRAIN_SHARE),
        rows_per_window=float(rows.sum() / np.ceil(rows / context).sum()),
        visible_share=density(plan.spec, mean_pairs(pieces)) if plan.spec and not plan.config.gates else 1.0,
    )


def _config(options: TrainOptions, name: ModelName, start: StartWeights | None) -> TrainConfig:
    """Settings for a model, with its defaults. Raises MeloError on values out of their range."""
    context, ranks = name.config.context, int(os.environ.get("WORLD_SIZE", "1"))  # torchrun's
    defaults = {
        "packs": max(PACKS, ranks),
        "pack_rows": CONTEXTS * context,
        "learning_rate": FINE_TUNING_RATE if start else LEARNING_RATE,
        "plans": TUNED_PLANS if start and start.knows_plans else 0.0,
        "infill": INFILL if infills(name.architecture) else 0.0,
    }
    config = train_config(options, defaults)
    if config.pack_rows < context:
        raise MeloError(
            f"{name} has windows of up to {context:,} rows; give at least so many",
            field="pack_rows",
            given=config.pack_rows,
        )
    return config


def _recorded(config: TrainConfig) -> dict[str, Any]:
    """The settings that change the result; a stopped run may be resumed with other values of the rest."""
    return {k: v for k, v in asdict(config).items() if k not in ("checkpointing", "threads", "save_seconds")}


def _mask(space: Workspace, stats: Run, name: ModelName, mask: Path | None) -> tuple[MaskSpec | None, list[str]]:
    """(the mask of a model, notes for the user)."""
    if name.architecture == "museformer":  # as derive-mask --rule museformer gives it
        own = own_mask(name.architecture)
        assert own
        curves, corpus = read_curves(stats.folder, both=False), stats.folder.name
        return with_priors(own, curves, version=__version__, corpus=corpus), []
    if not takes_mask(name.architecture):
        return own_mask(name.architecture), []
    if mask is not None:
        return MaskSpec.read(mask), []
    derived, notes = space.latest("mask"), []
    table = derived.manifest.inputs.get("table")  # a mask that a model learned has none
    if table is not None and Path(table).parent.name != stats.folder.name:
        notes = [
            f"Note: the mask {derived.folder.name} was not derived from the latest statistics, {stats.folder.name}"
        ]
    return MaskSpec.read(derived.folder / "mask.json"), notes
