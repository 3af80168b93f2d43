"""One `meloctl train`: from the workspace's latest corpus and mask to a finished run."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.piece import meter as parse_meter
from masks.describe import density
from masks.row_pairs import RowPairs, row_pairs
from masks.spec import MaskSpec, read_spec
from meloctl import __version__
from meloctl.dataset.batches import Window, windows
from meloctl.dataset.store import FORMAT as SHARD_FORMAT
from meloctl.dataset.store import Shard, encode_corpus, read_shard, write_shard
from meloctl.model.config import PRESETS
from meloctl.model.meloformer import MeloFormer, n_parameters
from meloctl.rows.vocabulary import INSTRUMENT, NUMBER, Vocabulary, default_vocabulary
from meloctl.training.baselines import CountingBaseline
from meloctl.training.checkpoint import load_model
from meloctl.training.evaluate import evaluate_windows
from meloctl.training.picture import draw_loss_curve
from meloctl.training.plan import TrainConfig
from meloctl.training.trainer import Watcher, train
from meloctl.workspace import Recipe, Run, Workspace, text_hash

WATCHED_ROWS = 1 << 17
"""Rows of the validation pieces that are evaluated during training; the final figure is of all of them."""

FILES = ["model.safetensors", "model.json", "metrics.csv", "loss.png", "training.json"]


class SessionWatcher(Watcher, Protocol):
    """What a session tells beyond the training loop."""

    def encoding(self, files: int) -> None:
        """So many files are about to be encoded as rows."""

    def encoded(self) -> None:
        """One more file is encoded."""

    def prepared(self, lines: list[str]) -> None:
        """What the data is and what counting alone achieves."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """A training run, planned."""

    recipe: Recipe
    preset: str
    device: str
    spec: MaskSpec
    paths: list[Path]
    meter: tuple[int, int] | None
    config: TrainConfig
    notes: list[str]
    """What the user should know before it starts."""


def plan_session(
    space: Workspace, *, model: str | None, mask: Path | None, minutes: float, seed: int, learning_rate: float | None
) -> Session:
    """What `meloctl train` will do; nothing is written.

    Raises:
        MeloError: options out of range, no statistics or mask yet, a corpus that is gone.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    preset = model or ("small" if device == "cuda" else "tiny")
    if preset not in PRESETS:
        raise MeloError(f"--model {preset}: no such model; choose one of {', '.join(PRESETS)}")
    if not 0 < minutes <= 100_000:
        raise MeloError(f"--minutes {minutes:g}: give a time budget above 0")
    if not 0 <= seed < 1 << 32:
        raise MeloError(f"--seed {seed}: give a whole number, 0 to {(1 << 32) - 1}")
    width = PRESETS[preset].width
    rate = 0.4 / width if learning_rate is None else learning_rate
    if not 0 < rate <= 1:
        raise MeloError(f"--learning-rate {rate:g}: give a number above 0 and up to 1")
    stats = space.latest("stats")
    corpus, meter = Path(stats.told("inputs", "corpus")), stats.told("options", "meter")
    paths = find_files(corpus)
    now = fingerprint(paths, corpus)
    notes = []
    if now != stats.told("inputs", "fingerprint"):
        notes.append(f"Note: files in {corpus} have changed since meloctl stats; training takes them as they are now")
    if mask is None:
        derived = space.latest("mask")
        if Path(derived.told("inputs", "table")).parent.name != stats.folder.name:
            notes.append(
                f"Note: the mask {derived.folder.name} was not derived from the latest statistics, {stats.folder.name}"
            )
        mask = derived.folder / "mask.json"
    spec = read_spec(mask)
    config = TrainConfig(seed=seed, rows_in_batch=2 * PRESETS[preset].context, learning_rate=rate, minutes=minutes)
    recipe = Recipe(
        stage="model",
        command="train",
        inputs={
            "corpus": str(corpus),
            "fingerprint": now,
            "meter": meter,
            "rows": SHARD_FORMAT,
            "mask": spec.to_json(),
        },
        options={"model": preset, **asdict(config)},
        label=preset,
    )
    return Session(
        recipe=recipe,
        preset=preset,
        device=device,
        spec=spec,
        paths=paths,
        meter=parse_meter(meter) if meter else None,
        config=config,
        notes=notes,
    )


def run_session(space: Workspace, session: Session, watch: SessionWatcher) -> Run:
    """Encode, train, evaluate and draw; a run that was stopped goes on."""
    vocabulary, folder = default_vocabulary(), space.folder(session.recipe)
    shard = _shard(space, session, vocabulary, watch)
    context = PRESETS[session.preset].context
    training = windows(shard.of_split("train"), context, vocabulary)
    validation = windows(shard.of_split("validation"), context, vocabulary)
    counts = {side: shard.split.count(side) for side in ("train", "validation", "test")}
    if not training or not validation:
        raise MeloError(
            f"{counts['train']} pieces to train on and {counts['validation']} to validate on; both are needed "
            "(pieces are dealt 80/10/10 by a hash of their notes): give a corpus of more different pieces"
        )
    baseline = CountingBaseline(shard.of_split("train"), vocabulary)
    unigram, bigram = baseline.bits_per_note(validation)
    shown = mean_density(session.spec, training, vocabulary)
    moved, resized, merged = (
        f"{100 * n / shard.loss.notes:.1f} %" for n in (shard.loss.moved, shard.loss.resized, shard.loss.merged)
    )
    torch.manual_seed(session.config.seed)
    model = MeloFormer(PRESETS[session.preset], vocabulary, session.spec)
    model.heads.start_from(baseline.unigram)
    watch.prepared(
        [
            f"{session.preset}: {n_parameters(model) / 1e6:.1f}M parameters, windows of up to {context:,} rows",
            f"{len(shard)} pieces: {', '.join(f'{n} {side}' for side, n in counts.items())}; {len(shard.rows):,} rows",
            f"The grid of 12 steps a quarter moves {moved} of {shard.loss.notes:,} notes, changes the length of {resized} "
            f"and merges {merged}",
            f"The mask shows {100 * shown:.0f} % of the pairs of rows that dense causal attention sees",
            f"To beat on validation: unigram {unigram:.2f}, bigram by field {bigram:.2f} bits a note",
        ]
    )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        standing = train(model, training, watched(validation), session.config, folder, watch)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise MeloError(
            f"out of memory with --model {session.preset} ({n_parameters(model) / 1e6:.0f}M parameters, batches of "
            f"{session.config.rows_in_batch} rows); take a smaller --model"
        ) from error
    best, _ = load_model(folder)
    quality = evaluate_windows(
        best.to(session.device), validation, session.config.rows_in_batch, torch.device(session.device)
    )
    draw_loss_curve(standing.history, unigram, bigram, folder / "loss.png")
    results: dict[str, Any] = {
        "model": session.preset,
        "parameters": n_parameters(model),
        "why": standing.why,
        "step": standing.best_step,
        "seconds": standing.seconds,
        "bits_per_note": quality.bits_per_note,
        "unigram_bits_per_note": unigram,
        "bigram_bits_per_note": bigram,
        "fields": quality.fields,
        "grid": asdict(shard.loss),
        "density": shown,
        "pieces": counts,
    }
    return space.finish(session.recipe, files=FILES, results={"training": results})


def mean_density(spec: MaskSpec, chosen: list[Window], vocabulary: Vocabulary) -> float:
    """Share of dense causal attention's pairs that a mask shows, pooled over some hundred windows evenly taken."""
    pairs = [_row_pairs(window, vocabulary) for window in chosen[:: -(-len(chosen) // 128)]]
    return density(spec, sum(pairs[1:], start=pairs[0]))


def _row_pairs(window: Window, vocabulary: Vocabulary) -> RowPairs:
    rows = window.rows.astype(np.int64)
    bar = np.cumsum(rows[:, INSTRUMENT] == vocabulary.bar) - 1
    keys, part = np.unique(rows[:, INSTRUMENT] * vocabulary.numbers + rows[:, NUMBER], return_inverse=True)
    cells = np.zeros((len(keys), bar[-1] + 1), dtype=np.int64)
    np.add.at(cells, (part, bar), 1)
    return row_pairs(cells, drums=np.flatnonzero(keys // vocabulary.numbers == vocabulary.drums).tolist())


def watched(validation: list[Window]) -> list[Window]:
    """Validation windows evenly taken, at most WATCHED_ROWS rows; all of them where they fit."""
    every = -(-sum(len(w.rows) for w in validation) // WATCHED_ROWS)
    return validation[::every]


def _shard(space: Workspace, session: Session, vocabulary: Vocabulary, watch: SessionWatcher) -> Shard:
    """The corpus as rows, made once for the same files, meter and vocabulary."""
    corpus = [session.recipe.inputs["corpus"], session.recipe.inputs["fingerprint"], session.meter]
    words = json.dumps([SHARD_FORMAT, __version__, *corpus, vocabulary.to_json()])
    stem = space.root / "cache" / f"rows-{text_hash(words)}"
    if stem.with_suffix(".json").is_file():
        return read_shard(stem)
    watch.encoding(len(session.paths))
    shard = encode_corpus(session.paths, vocabulary, meter=session.meter, on_file=watch.encoded)
    write_shard(shard, stem)
    return shard
