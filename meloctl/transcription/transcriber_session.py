"""One `meloctl train-transcriber`: sounds and music → stems → a transcriber that was trained on their mixes."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from analysis.atomic_write import atomic_write
from analysis.corpus import find_files, fingerprint
from analysis.errors import MeloError
from meloctl.progress import ProgressReporter
from meloctl.threads import using_threads
from meloctl.transcription.network import NetworkConfig, Transcriber, parameter_count
from meloctl.transcription.sounds.sound_sources import SoundSources, find_sources
from meloctl.transcription.sounds.stem_building import build_stems
from meloctl.transcription.sounds.stem_library import StemLibrary
from meloctl.transcription.sounds.training_music import Split
from meloctl.transcription.training_batches import BatchOptions
from meloctl.transcription.transcriber_file import WEIGHTS, TranscriberJson, save_transcriber
from meloctl.transcription.transcriber_fitting import fitted_reading
from meloctl.transcription.transcriber_options import TranscriberOptions
from meloctl.transcription.transcriber_training import TranscriberTrainConfig, train_transcriber
from meloctl.transcription.transcriber_validation import (
    validation_mixes,
)
from meloctl.workspace import Recipe, RunOutput, Workspace, file_hash, text_hash

LOSSES = "losses.csv"
_SCRATCH = "unfinished"
_VALIDATION_HOURS = 0.5
_MIXES_ON_THE_WAY, _MIXES_AT_THE_END = 2, 10
"""Validation mixes of each number of parts."""


@dataclass(frozen=True, kw_only=True)
class TranscriberPlan:
    """A training before anything is written."""

    recipe: Recipe
    options: TranscriberOptions
    stems: Path
    """Folder of both splits."""

    sources: tuple[SoundSources, ...]
    """That stems are built of, training first; none where they are there."""

    music: list[Path]


def plan_transcriber(space: Workspace, options: TranscriberOptions) -> TranscriberPlan:
    """Find the sounds and the music, or the stems.

    Raises:
        MeloError: there are none, or none to validate on.
    """
    sources: tuple[SoundSources, ...] = ()
    music: list[Path] = []
    if options.stems is not None:
        stems, key = options.stems, _listing(options.stems)
    else:
        for folder in options.sounds:
            if not folder.is_dir():
                raise MeloError("give folders of soundfonts and packs", field="sounds", given=folder)
        sources = (find_sources("train", options.sounds), find_sources("validation", options.sounds))
        music = find_files(options.music) if options.music is not None else []
        files = [file.path for s in sources for file in s.fonts] + [pack.path for s in sources for pack in s.packs]
        of_music = fingerprint(music, options.music) if options.music is not None else ""
        key = text_hash(" ".join([*map(file_hash, files), of_music, str(options.hours), str(options.seed)]))
        stems = space.cache / f"stems-{key[:8]}"
    recipe = Recipe(
        stage="transcriber",
        command="train-transcriber",
        inputs={"stems": key},
        options=options.of_training(),
        label=f"transcriber-{options.seed}",
    )
    return TranscriberPlan(recipe=recipe, options=options, stems=stems, sources=sources, music=music)


def _listing(stems: Path) -> str:
    """A hash of the names and sizes of the files of stems."""
    files = sorted(path for path in stems.glob("*/*") if path.is_file())
    if not files:
        raise MeloError("no stems in it; leave it out, so that they are built", field="stems", given=stems)
    return text_hash(" ".join(f"{path.relative_to(stems)} {path.stat().st_size}" for path in files))


def write_transcriber(plan: TranscriberPlan, folder: Path, reporter: ProgressReporter) -> RunOutput:
    """Build what stems are missing, train, fit the thresholds and write the weights; a stopped run goes on where it was.

    Args:
        plan: from `plan_transcriber`.
        folder: of the run.
        reporter: gets the stages.

    Raises:
        MeloError: a sound, a piece or a stem cannot be read.
    """
    options = plan.options
    with using_threads(1):  # layers as small as these are not worth sharing
        for sources, hours in zip(plan.sources, (options.hours, _VALIDATION_HOURS), strict=False):
            _build(plan, sources, hours, reporter)
        library, held_out = (StemLibrary(plan.stems, split) for split in _SPLITS)
        torch.manual_seed(options.seed)
        network = Transcriber(NetworkConfig(memory=options.memory))
        config = TranscriberTrainConfig(
            minutes=options.minutes,
            steps=options.steps,
            seed=options.seed,
            timbre_loss=options.loss,
            balance=options.balance,
            batches=BatchOptions(sounds=options.train_on, augment=options.augment),
        )
        on_the_way = validation_mixes(held_out, _MIXES_ON_THE_WAY)
        if not on_the_way:
            raise MeloError(f"{plan.stems}: no mixes to validate on; give more music or more instruments")
        trained, progress = train_transcriber(network, library, on_the_way, config, folder / _SCRATCH, reporter)
        reporter.stage("fitting thresholds", 1)
        reading = fitted_reading(trained, held_out, library, _MIXES_AT_THE_END)
        reporter.advance()
    about = TranscriberJson(
        network=trained.config, thresholds=reading.thresholds, parts=reading.parts, quality=reading.quality
    )
    save_transcriber(trained, about, folder / WEIGHTS)
    with atomic_write(folder / LOSSES) as partial_path:
        pd.DataFrame(progress.history).to_csv(partial_path, index=False)
    results = {
        "seconds": progress.seconds,
        "steps": progress.step,
        "stems": len(library),
        "hours": library.hours,
        "parameters": parameter_count(trained),
        **about.quality,
    }
    return RunOutput(files=[WEIGHTS, LOSSES], results={"transcriber": results}, scratch=[_SCRATCH])


_SPLITS: tuple[Split, Split] = ("train", "validation")


def _build(plan: TranscriberPlan, sources: SoundSources, hours: float, reporter: ProgressReporter) -> None:
    """Build the stems of a split, as far as they are missing."""
    begun = partial(reporter.stage, f"stems for {sources.split}")
    done = 0

    def on_stems(now: int, total: int) -> None:
        nonlocal done
        if not done:
            begun(total)
        reporter.advance(now - done)
        done = now

    build_stems(plan.stems, sources, plan.music, hours=hours, seed=plan.options.seed, on_stems=on_stems)


def transcriber_lines(results: dict[str, Any]) -> list[str]:
    """What a trained transcriber can do, in words, from the "transcriber" of its manifest's results."""
    scores = ", ".join(f"{parts}: {f:.3f}" for parts, f in results["validation_f"].items())
    return [
        f"Trained {results['parameters']:,} parameters for {results['seconds'] / 60:.1f} minutes, {results['steps']:,} steps, on "
        f"mixes of {results['stems']:,} stems ({results['hours']:.1f} h)",
        f"F of notes (pitch, and onset within 50 ms) in validation mixes by the number of parts: {scores}",
    ]
