"""Plans a `meloctl train-bridge`: which music model, corpus, encoder and settings, before anything is written."""

from dataclasses import dataclass
from pathlib import Path

from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from analysis.reading import Reading
from meloctl.bridge.options import BridgeOptions
from meloctl.dataset.store import FORMAT as SHARD_FORMAT
from meloctl.formatting import count
from meloctl.model.checkpoint import read_description
from meloctl.plans.planned_model import check_planned
from meloctl.rows.vocabulary import FORMAT as VOCABULARY_FORMAT
from meloctl.text.caption_file import pair_captions, read_captions
from meloctl.text.checked_text import MOST_CHARACTERS, is_text
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
    captions: dict[Path, tuple[str, ...]]
    """That were written for files of the corpus."""

    notes: list[str]
    """For the user to read before it starts."""

    reading: Reading
    options: BridgeOptions


def plan_bridge(space: Workspace, options: BridgeOptions) -> BridgePlan:
    """Plan a run from the options, the corpus of the workspace's latest statistics, and its latest model; nothing is written.

    Raises:
        MeloError: no statistics yet, a corpus that is gone, no model, or one without plans, no such encoder, captions that
            cannot be read or are of other files.
    """
    folder = chosen_model(space, options.model)
    check_planned(read_description(folder), folder, field=None if options.model is None else "model")
    stats = space.latest("stats")
    corpus = Path(stats.manifest_value("inputs", "corpus"))
    reading = Reading.from_json(stats.manifest.options, where=stats.folder.name)
    paths = find_files(corpus)
    weights, encoder = file_hash(folder / "model.safetensors"), load_encoder(options.encoder)
    captions: dict[Path, tuple[str, ...]] = {}
    notes: list[str] = []
    if options.captions is not None:
        captions, notes = _written_captions(options.captions, paths, corpus)
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
            **({"captions": file_hash(options.captions)} if options.captions else {}),
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
        captions=captions,
        notes=notes,
        reading=reading,
        options=options,
    )


def _written_captions(file: Path, paths: list[Path], corpus: Path) -> tuple[dict[Path, tuple[str, ...]], list[str]]:
    """The captions of each file of a corpus, and what is to be known of those that are left out.

    Raises:
        MeloError: the file cannot be read, or none of its captions can be used.
    """
    paired = pair_captions(read_captions(file), paths, corpus if corpus.is_dir() else corpus.parent)
    usable = {path: tuple(c.text for c in found if is_text(c.text)) for path, found in paired.captions.items()}
    captions = {path: texts for path, texts in usable.items() if texts}
    if not captions:
        raise MeloError(
            f"{file}: none of its captions is of a file of {corpus} and has at most {MOST_CHARACTERS} characters",
            field="captions",
        )
    used = sum(map(len, captions.values()))
    unfit = sum(map(len, paired.captions.values())) - used
    left_out = [
        *([f"{count(len(paired.without_file), 'caption')} of no file of the corpus"] if paired.without_file else []),
        *([f"{unfit:,} longer than {MOST_CHARACTERS} characters or without words"] if unfit else []),
    ]
    line = f"{count(used, 'caption')} of {count(len(captions), 'file')}"
    return captions, [f"{line}; left out: {', '.join(left_out)}" if left_out else line]
