"""What `meloctl train` was asked for, checked against the workspace: which model, which mask, which corpus, how long."""

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.offset_table_file import read_curves
from analysis.piece import meter as parse_meter
from masks.cost.row_pairs import mean_pairs
from masks.cost.sample import read_piece_rows, sample_files
from masks.describe import density
from masks.rules.baselines import with_priors
from masks.spec import MaskSpec
from meloctl import __version__
from meloctl.dataset.store import FORMAT as SHARD_FORMAT
from meloctl.model.registry import ModelName, infills, model_name, own_mask, takes_mask
from meloctl.rows.vocabulary import FORMAT as VOCABULARY_FORMAT
from meloctl.training.estimate import CorpusSize
from meloctl.training.train_config import CONTEXTS, GATE_PRICE, INFILL, PACKS, TrainConfig
from meloctl.workspace import Recipe, Run, Workspace

_SAMPLE = 50
"""Files that are looked at to tell how much music a corpus holds, before it is encoded."""

_TRAINED_ON = 0.8
"""Share of the pieces, by the split."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of `meloctl train`; None where nothing was said."""

    model: str | None = None
    mask: Path | None = None
    minutes: float = 30.0
    epochs: int = 100
    seed: int = 0
    learning_rate: float | None = None
    packs: int | None = None
    pack_rows: int | None = None
    ema: float | None = None
    infill: float | None = None
    gates: bool = False
    gate_price: float | None = None
    checkpointing: bool = False
    compile: bool = False
    shard: bool | None = None


def options_of(asked: TrainOptions) -> list[str]:
    """The options that differ from their defaults, as words of a command: --model, tiny, --gates, …"""
    words = []
    for option in fields(asked):
        value, name = getattr(asked, option.name), option.name.replace("_", "-")
        if value == option.default:
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        else:
            words += [f"--{name}", f"{value:.15g}" if isinstance(value, float) else str(value)]
    return words


@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """A training run, planned."""

    recipe: Recipe
    name: ModelName
    spec: MaskSpec | None
    """The mask; None for a model that has none."""

    paths: list[Path]
    meter: tuple[int, int] | None
    config: TrainConfig
    shard: bool | None
    """Lay the model in pieces on several processes; None leaves it to the model's size."""

    notes: list[str]
    """What the user should know before it starts."""


def plan_session(space: Workspace, asked: TrainOptions) -> TrainPlan:
    """What `meloctl train` will do; nothing is written.

    Raises:
        MeloError: options out of range, no statistics or mask yet, a corpus that is gone.
    """
    cuda = torch.cuda.is_available()
    name = model_name(asked.model, size="small" if cuda else "tiny")
    config = _config(asked, name)
    if asked.compile and not cuda:
        raise MeloError("--compile is for a GPU, and there is none here; leave it out")
    if asked.gates and not takes_mask(name.architecture):
        raise MeloError(f"--gates: {name} has none; leave it out, or take --model {name.size}")
    if asked.gate_price is not None and not asked.gates:
        raise MeloError("--gate-price: without --gates there is nothing to price; give both, or neither")
    if asked.mask and not takes_mask(name.architecture):
        raise MeloError(f"--mask: {name} takes no mask; leave it out, or take --model {name.size}")
    if config.infill and not infills(name.architecture):
        raise MeloError(f"--infill: {name} cannot fill gaps; leave it out, or take --model {name.size}")
    stats = space.latest("stats")
    corpus, meter = Path(stats.manifest_value("inputs", "corpus")), stats.manifest_value("options", "meter")
    paths = find_files(corpus)
    now = fingerprint(paths, corpus)
    notes = []
    if now != stats.manifest_value("inputs", "fingerprint"):
        notes.append(f"Note: files in {corpus} have changed since meloctl stats; training takes them as they are now")
    spec, more = _mask(space, stats, name, asked.mask)
    recipe = Recipe(
        stage="model",
        command="train",
        inputs={
            "corpus": str(corpus),
            "fingerprint": now,
            "meter": meter,
            "rows": SHARD_FORMAT,
            "vocabulary": VOCABULARY_FORMAT,
            "mask": spec.to_json() if spec else None,
        },
        options={"model": str(name), **_decisive(config)},
        label=str(name).replace("/", "-") + ("-gates" if config.gates else ""),
    )
    return TrainPlan(
        recipe=recipe,
        name=name,
        spec=spec,
        paths=paths,
        meter=parse_meter(meter) if meter else None,
        config=config,
        shard=asked.shard,
        notes=[*notes, *more],
    )


def music_of(session: TrainPlan) -> CorpusSize:
    """How much music a session's corpus holds, reckoned from a few of its files. Raises MeloError when none can be read."""
    corpus, context = Path(session.recipe.inputs["corpus"]), session.name.config.context
    pieces = read_piece_rows(sample_files(session.paths, corpus, _SAMPLE), meter=session.meter)
    rows = np.array([piece.rows.sum() + 1 for piece in pieces])  # and the end row
    return CorpusSize(
        rows=int(rows.mean() * len(session.paths) * _TRAINED_ON),
        rows_in_window=float(rows.sum() / np.ceil(rows / context).sum()),
        shown=density(session.spec, mean_pairs(pieces)) if session.spec and not session.config.gates else 1.0,
    )


def _config(asked: TrainOptions, name: ModelName) -> TrainConfig:
    """The options with what they leave open filled in. Raises MeloError on values outside their range."""
    context, world = name.config.context, int(os.environ.get("WORLD_SIZE", "1"))  # torchrun's
    config = TrainConfig(
        seed=asked.seed,
        packs=max(PACKS, world) if asked.packs is None else asked.packs,
        pack_rows=CONTEXTS * context if asked.pack_rows is None else asked.pack_rows,
        learning_rate=0.4 / name.config.width if asked.learning_rate is None else asked.learning_rate,
        minutes=asked.minutes,
        epochs=asked.epochs,
        ema=asked.ema,
        infill=(INFILL if infills(name.architecture) else 0.0) if asked.infill is None else asked.infill,
        gates=asked.gates,
        checkpointing=asked.checkpointing,
        compile=asked.compile,
        gate_price=GATE_PRICE if asked.gate_price is None else asked.gate_price,
    )
    if config.pack_rows < context:
        raise MeloError(
            f"--pack-rows {config.pack_rows}: {name} has windows of up to {context:,} rows; give at least so many"
        )
    return config


def _decisive(config: TrainConfig) -> dict[str, Any]:
    """The settings that change what is learned: a run that was stopped may go on with others of the rest."""
    return {k: v for k, v in asdict(config).items() if k not in ("checkpointing", "compile", "save_seconds")}


def _mask(space: Workspace, stats: Run, name: ModelName, mask: Path | None) -> tuple[MaskSpec | None, list[str]]:
    """The mask that a model works under, and what the user should know of it."""
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
