"""Plans a `meloctl train-bridge`: which music model, corpus, encoder and settings, before anything is written."""

from dataclasses import dataclass
from pathlib import Path

from analysis.corpus import find_files, fingerprint
from analysis.reading import Reading
from meloctl.bridge.options import BridgeOptions
from meloctl.dataset.store import FORMAT as SHARD_FORMAT
from meloctl.model.checkpoint import read_description
from meloctl.plans.planned_model import check_planned
from meloctl.rows.vocabulary import FORMAT as VOCABULARY_FORMAT
from meloctl.text.encoders import Encoder, load_encoder
from meloctl.weights.default_weights import chosen_model, model_label
from meloctl.workspace import Recipe, Workspace, file_hash


@dataclass(frozen=True, kw_only=True)
class BridgePlan:
    """A bridge before it is trained."""

    recipe: Recipe
    model_folder: Path
    model_weights: str
    """Hash of the music model's weights."""

    encoder: Encoder
    paths: list[Path]
    reading: Reading
    options: BridgeOptions


def plan_bridge(space: Workspace, options: BridgeOptions) -> BridgePlan:
    """Plan a run from the options, the corpus of the workspace's latest statistics, and its latest model; nothing is written.

    Raises:
        MeloError: no statistics yet, a corpus that is gone, no model, or one without plans, no such encoder.
    """
    folder = chosen_model(space, options.model)
    check_planned(read_description(folder), folder, field=None if options.model is None else "model")
    stats = space.latest("stats")
    corpus = Path(stats.manifest_value("inputs", "corpus"))
    reading = Reading.from_json(stats.manifest.options, where=stats.folder.name)
    paths = find_files(corpus)
    weights, encoder = file_hash(folder / "model.safetensors"), load_encoder(options.encoder)
    recipe = Recipe(
        stage="bridge",
        command="train-bridge",
        inputs={
            "corpus": str(corpus),
            "fingerprint": fingerprint(paths, corpus),
            **reading.to_json(),
            "rows": SHARD_FORMAT,
            "vocabulary": VOCABULARY_FORMAT,
            "model": weights,
            "encoder": encoder.fingerprint,
        },
        options={"minutes": options.minutes, "seed": options.seed},
        label=model_label(folder),
    )
    return BridgePlan(
        recipe=recipe,
        model_folder=folder,
        model_weights=weights,
        encoder=encoder,
        paths=paths,
        reading=reading,
        options=options,
    )
