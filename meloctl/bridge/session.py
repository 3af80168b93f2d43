"""One `meloctl train-bridge`: from a music model with plans and a corpus to a bridge."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from analysis.arrays import Floats, Floats32
from analysis.atomic_write import atomic_write
from analysis.errors import MeloError
from meloctl.bridge.bridge_captions import span_caption, written_caption
from meloctl.bridge.bridge_examples import BridgeExample, PlannedPiece, bridge_examples, distinct_texts, make_examples
from meloctl.bridge.bridge_file import (
    DESCRIPTION,
    WEIGHTS,
    BridgeJson,
    FrozenEncoder,
    PlannedModel,
    save_bridge,
)
from meloctl.bridge.bridge_network import BridgeNetwork, BridgeSizes
from meloctl.bridge.bridge_quality import bridge_quality
from meloctl.bridge.bridge_schedule import BridgeSchedule
from meloctl.bridge.bridge_training import BridgeTrainConfig, train_bridge
from meloctl.bridge.plan import BridgePlan
from meloctl.bridge.text_embeddings import text_embeddings
from meloctl.dataset.corpus_rows import corpus_rows, encoded_files
from meloctl.dataset.store import Shard
from meloctl.model.bar_plans import PlanChannel
from meloctl.model.checkpoint import load_model
from meloctl.plans.linear_probes import fit_probe
from meloctl.plans.planned_model import plan_channel, plans_and_attributes
from meloctl.progress import ProgressReporter
from meloctl.rows.attribute_scale import AttributeScale, attribute_scale
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.rows.vocabulary import default_vocabulary
from meloctl.threads import using_threads
from meloctl.workspace import RunOutput

LOSSES = "losses.csv"
_SCRATCH, _TEXTS = "unfinished", "texts.safetensors"
_TRAINING_SPANS, _HELD_OUT_SPANS = 10_000, 200
"""Most spans of pieces with captions, …"""

_BARS_A_SPAN = 4
"""… and a small corpus has one for so many bars."""


_SAME = 1e-3
"""Levels of an attribute that never differs deviate by less."""


class BridgeCorpus(NamedTuple):
    """A corpus as the bridge learns from it."""

    training: list[PlannedPiece]
    held_out: list[PlannedPiece]
    scale: AttributeScale
    """Of the training pieces' bars."""


def write_bridge(plan: BridgePlan, cache: Path, folder: Path, reporter: ProgressReporter) -> RunOutput:
    """Train the bridge of a plan, measure it and write it; a run that was stopped goes on where it was.

    Args:
        plan: from `plan_bridge`.
        cache: of rows; rows that training has cached are used again.
        folder: of the run.
        reporter: gets the stages.

    Raises:
        MeloError: a corpus without pieces to train on or to hold out, damaged files.
    """
    with using_threads(1):  # matrices as small as these are not worth sharing
        return _make(plan, cache, folder, reporter)


def _make(plan: BridgePlan, cache: Path, folder: Path, reporter: ProgressReporter) -> RunOutput:
    channel = plan_channel(load_model(plan.model_folder)[0])
    inputs, vocabulary = plan.recipe.inputs, default_vocabulary()
    shard = corpus_rows(
        cache,
        plan.paths,
        vocabulary,
        reporter,
        corpus=inputs["corpus"],
        fingerprint=inputs["fingerprint"],
        reading=plan.reading,
    )
    written = None
    if plan.captions:
        files = encoded_files(plan.paths, shard, plan.reading)
        written = [plan.captions.get(path, ()) for path in files]
    corpus = planned_corpus(shard, channel, reporter, written)
    generator = np.random.default_rng(plan.options.seed)
    spans = _spans(corpus.training, _TRAINING_SPANS, generator)
    held_out_spans = _spans(corpus.held_out, _HELD_OUT_SPANS, generator)
    texts, scratch = distinct_texts([*spans, *held_out_spans]), folder / _SCRATCH
    embeddings = text_embeddings(texts, plan.encoder, scratch / _TEXTS, reporter)
    training = bridge_examples(corpus.training, spans, texts, embeddings)
    held_out = bridge_examples(corpus.held_out, held_out_spans, texts, embeddings)
    torch.manual_seed(plan.options.seed)
    sizes = BridgeSizes(plan_width=channel.own.in_features, attributes=len(ATTRIBUTES), text_width=plan.encoder.width)
    network = BridgeNetwork(sizes, BridgeSchedule())
    config = BridgeTrainConfig(minutes=plan.options.minutes, seed=plan.options.seed)
    progress = train_bridge(network, training, held_out, config, scratch, reporter)
    plans, levels = (np.concatenate(x) for x in zip(*((p.plans, p.levels) for p in corpus.training), strict=True))
    quality = bridge_quality(network, held_out, fit_probe(plans, levels), ATTRIBUTES, reporter)
    quality |= {"loss": progress.best, "steps": progress.step}
    save_bridge(network, _description(plan, network, corpus.scale, quality), folder)
    with atomic_write(folder / LOSSES) as partial:
        pd.DataFrame(progress.history).to_csv(partial, index=False)
    results = {"seconds": progress.seconds, "texts": len(texts), "pieces": len(corpus.training), **quality}
    return RunOutput(files=[WEIGHTS, DESCRIPTION, LOSSES], results={"bridge": results}, scratch=[_SCRATCH])


def _spans(pieces: list[PlannedPiece], most: int, generator: np.random.Generator) -> list[BridgeExample]:
    count = min(most, math.ceil(sum(map(len, pieces)) / _BARS_A_SPAN))
    return make_examples(pieces, count, span_caption, generator, read=written_caption)


def planned_corpus(
    shard: Shard,
    channel: PlanChannel,
    reporter: ProgressReporter,
    captions: Sequence[tuple[str, ...]] | None = None,
) -> BridgeCorpus:
    """Plans and levels of the pieces of a shard, but those of its test side.

    Args:
        shard: of P pieces.
        channel: of the model whose plans they are.
        reporter: gets a stage.
        captions: (P,) those that were written for each piece; None where there are none.

    Raises:
        MeloError: no pieces on the training or on the validation side.
    """
    sides = {side: shard.of_split(side) for side in ("train", "validation")}
    if not all(sides.values()):
        raise MeloError(
            f"{len(sides['train'])} pieces to train on and {len(sides['validation'])} to hold out; both are needed: give a "
            "corpus of more different pieces"
        )
    reporter.stage("making plans", sum(map(len, sides.values())))
    train, validation = (plans_and_attributes(pieces, channel, shard.vocabulary, reporter) for pieces in sides.values())
    scale = attribute_scale(train[1], constant=1.0)
    differs = np.nan_to_num(scale.levels(np.concatenate(train[1]))).std(axis=0) > _SAME
    if not differs.all():
        same = ", ".join(name for name, d in zip(ATTRIBUTES, differs, strict=True) if not d)
        reporter.message(f"Never differs in this corpus, so no text can ask for it: {same}")

    def planned(side: str, plans: list[Floats32], attributes: list[Floats]) -> list[PlannedPiece]:
        written = [c for c, s in zip(captions or [()] * len(shard), shard.split, strict=True) if s == side]
        return [
            PlannedPiece(plans=p, levels=np.where(differs, scale.levels(a), np.nan).astype(np.float32), captions=c)
            for p, a, c in zip(plans, attributes, written, strict=True)
        ]

    return BridgeCorpus(training=planned("train", *train), held_out=planned("validation", *validation), scale=scale)


def _description(
    plan: BridgePlan, network: BridgeNetwork, scale: AttributeScale, quality: dict[str, Any]
) -> BridgeJson:
    return BridgeJson(
        music_model=PlannedModel(weights=plan.model_weights, plan_width=network.sizes.plan_width),
        encoder=FrozenEncoder(name=plan.encoder.name, fingerprint=plan.encoder.fingerprint),
        attributes=ATTRIBUTES,
        scale=scale,
        sizes=network.sizes,
        schedule=network.schedule,
        quality=quality,
    )


def bridge_lines(results: dict[str, Any]) -> list[str]:
    """What a trained bridge can do, in words, from the "bridge" of its manifest's results."""
    followed = ", ".join(f"{name} {_number(of['correlation'])}" for name, of in results["attributes"].items())
    of_music = ", ".join(f"{name} {_number(of['of_music'])}" for name, of in results["attributes"].items())
    return [
        f"Trained for {results['seconds'] / 60:.1f} minutes, {results['steps']:,} steps, on {results['pieces']:,} pieces and "
        f"{results['texts']:,} texts; loss on held-out pieces {results['loss']:.3f}",
        f"Correlation of what is wanted with what plans say, on {results['spans']} held-out spans: {followed}",
        f"  the music's own plans: {of_music}",
        f"Between-bar variance {_ratio(results, 'variance')}, autocorrelation {results['autocorrelation']:.2f} (music: "
        f"{results['autocorrelation_of_music']:.2f}); two samples of one text lie {results['between_seeds']:.2f} times as far "
        "apart as two pieces",
    ]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _ratio(results: dict[str, Any], name: str) -> str:
    music = results[f"{name}_of_music"]
    return f"{results[name] / music:.2f} times the music's" if music else "of music that does not move"
