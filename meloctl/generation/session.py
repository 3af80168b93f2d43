"""One `meloctl generate`: from the workspace's latest model to files."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.errors import MeloError
from analysis.midi import read_midi, write_midi
from meloctl.generation.continuation import Prompt, continued, prompt_of
from meloctl.generation.key import key_of
from meloctl.generation.sampler import Sampling, generate
from meloctl.generation.score import draw_piano_roll, playable, write_sound
from meloctl.generation.soundfont import find_soundfont, tuned_soundfont
from meloctl.generation.wishes import parts_of, tempo_of, time_signature_of
from meloctl.generation.writer import MOST_BARS, MOST_PARTS, MOST_PITCHED, Wish, Writer
from meloctl.rows.codec import Rows, decode
from meloctl.rows.grammar import check_rows
from meloctl.rows.vocabulary import INSTRUMENT, Vocabulary, default_vocabulary
from meloctl.training.checkpoint import load_model
from meloctl.training.machine import computes_in_half
from meloctl.workspace import Recipe, Run, Workspace, file_hash

MOST_PIECES = 1000
SOUNDS = ("wav", "flac", "none")
"""What a piece's sound may be written as."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What `meloctl generate` was told."""

    bars: int
    seed: int = 0
    count: int = 1
    instruments: str | None = None
    meter: str | None = None
    tempo: float | None = None
    key: str | None = None
    prompt: Path | None = None
    """A MIDI file whose first bars are kept; the new bars come behind them."""

    keep_bars: int | None = None
    """How many of them; None keeps all."""


@dataclass(frozen=True, kw_only=True)
class PiecePlan:
    """Pieces to be written."""

    recipe: Recipe
    model_folder: Path
    wish: Wish
    sampling: Sampling
    seeds: range
    prompt: Prompt | None
    sound: str
    """One of SOUNDS."""

    soundfont: Path | None
    """What to render with; None where there is no sound."""


def plan_piece(space: Workspace, asked: Asked, sampling: Sampling, *, sound: str) -> PiecePlan:
    """What `meloctl generate` will do; nothing is written.

    Raises:
        MeloError: something asked for is out of range, there is no model yet, or no soundfont.
    """
    vocabulary = default_vocabulary()
    prompt = _prompt(asked, vocabulary)
    wish = _wish(asked, prompt.row_bars if prompt else 0, vocabulary)
    if not 0 <= asked.seed < 1 << 63:
        raise MeloError(f"--seed {asked.seed}: give a whole number, 0 or more")
    if sound not in SOUNDS:
        raise MeloError(f"--sound {sound[:20]!r}: give wav, flac or none")
    if not 1 <= asked.count <= MOST_PIECES:
        raise MeloError(f"--count {asked.count}: give how many pieces to write, 1 to {MOST_PIECES}")
    model = space.latest("model").folder
    pieces = f"-{asked.count}pieces" if asked.count > 1 else ""
    recipe = Recipe(
        stage="out",
        command="generate",
        inputs={
            "model": model.name,
            "weights": file_hash(model / "model.safetensors"),
            **({"prompt": file_hash(asked.prompt)} if asked.prompt else {}),
        },
        options={
            **asdict(asked),
            "prompt": str(asked.prompt) if asked.prompt else None,
            **asdict(sampling),
            "sound": sound,
        },
        label=f"{model.name}-seed{asked.seed}-{asked.bars}bars{pieces}",
    )
    soundfont = find_soundfont() if sound != "none" else None
    seeds = range(asked.seed, asked.seed + asked.count)
    return PiecePlan(
        recipe=recipe,
        model_folder=model,
        wish=wish,
        sampling=sampling,
        seeds=seeds,
        prompt=prompt,
        sound=sound,
        soundfont=soundfont,
    )


def write_pieces(space: Workspace, plan: PiecePlan, *, on_bar: Callable[[], None] = lambda: None) -> Run:
    """Write each piece as MIDI, picture and sound; each MIDI file is read back and must hold what was generated.

    Raises:
        KeyboardInterrupt: as it came, once the complete bars of each piece have been written as `unfinished….mid`.
    """
    model, _ = load_model(plan.model_folder)
    writers = [
        Writer(vocabulary=model.vocabulary, wish=plan.wish, random=np.random.default_rng(seed)) for seed in plan.seeds
    ]
    if plan.prompt:
        for writer in writers:
            writer.begin(plan.prompt.rows)
    folder = space.folder(plan.recipe)
    try:
        decoder = generate(model, writers, plan.sampling, half=computes_in_half("cpu"), on_bar=on_bar)
    except KeyboardInterrupt:
        for name, writer in zip(_names("unfinished", plan.seeds), writers, strict=True):
            _save_unfinished(writer, plan.prompt, folder / f"{name}.mid")
        raise
    files, told = [], []
    for name, seed, writer in zip(_names("piece", plan.seeds), plan.seeds, writers, strict=True):
        told.append(_written(np.stack(writer.rows), model.vocabulary, plan, folder / f"{name}.mid", seed))
        files += [f"{name}.mid", f"{name}.png"]
        if plan.soundfont:
            font = tuned_soundfont(plan.soundfont, space.root / "cache")
            write_sound(folder / f"{name}.mid", folder / f"{name}.{plan.sound}", soundfont=font)
            files.append(f"{name}.{plan.sound}")
    return space.finish(plan.recipe, files=files, results={"pieces": told, "cache_bytes": decoder.most_bytes})


def _prompt(asked: Asked, vocabulary: Vocabulary) -> Prompt | None:
    if asked.prompt is None:
        if asked.keep_bars is not None:
            raise MeloError("--keep-bars says how much of a prompt is kept; give the prompt too: --prompt FILE")
        return None
    try:
        piece = read_midi(asked.prompt)
    except MeloError as error:
        raise MeloError(f"--prompt {asked.prompt}: {error}") from error
    prompt = prompt_of(piece, asked.keep_bars, vocabulary)
    drums = [part.is_drum for part in prompt.piece.parts]
    if len(drums) > MOST_PARTS or drums.count(False) > MOST_PITCHED:
        raise MeloError(f"{asked.prompt}: {len(drums)} parts; MIDI has room for {MOST_PITCHED} and drums: give fewer")
    return prompt


def _wish(asked: Asked, given: int, vocabulary: Vocabulary) -> Wish:
    """What the whole piece should be, with the bars of a prompt, as rows count them."""
    if not 1 <= asked.bars <= MOST_BARS - given:
        raise MeloError(f"--bars {asked.bars}: give a whole number of bars, 1 to {MOST_BARS - given}")
    return Wish(
        bars=given + asked.bars,
        parts=None if asked.instruments is None else parts_of(asked.instruments, vocabulary),
        time_signature=None if asked.meter is None else time_signature_of(asked.meter, vocabulary),
        tempo=None if asked.tempo is None else tempo_of(asked.tempo, vocabulary),
        key=None if asked.key is None else key_of(asked.key),
    )


def _names(stem: str, seeds: range) -> list[str]:
    """Of the files of each piece, without their ending."""
    return [stem] if len(seeds) == 1 else [f"{stem}-{seed}" for seed in seeds]


def _written(rows: Rows, vocabulary: Vocabulary, plan: PiecePlan, midi: Path, seed: int) -> dict[str, Any]:
    """Write one piece and its picture; facts about it, from the file as it reads back."""
    broken, prompt = check_rows(rows, vocabulary), plan.prompt
    bars = plan.wish.bars + (prompt.bars - prompt.row_bars if prompt else 0)
    piece = continued(prompt, rows, vocabulary) if prompt else playable(decode(rows, vocabulary), bars)
    write_midi(piece, midi)
    again = read_midi(midi)
    if broken or (again.n_bars, len(again.notes)) != (bars, len(piece.notes)):
        raise MeloError(
            f"{midi}: reads back as {again.n_bars} bars and {len(again.notes)} notes, not {bars} and "
            f"{len(piece.notes)} {broken[:1]}; this is a bug, please report it with the seed {seed}"
        )
    draw_piano_roll(piece, midi.with_suffix(".png"), title=f"{bars} bars, seed {seed}, {plan.model_folder.name}")
    return {
        "file": midi.name,
        "bars": again.n_bars,
        "parts": len(again.parts),
        "instruments": [part.name for part in piece.parts],
        "notes": len(again.notes),
        "seconds": round(again.seconds, 3),
    }


def _save_unfinished(writer: Writer, prompt: Prompt | None, midi: Path) -> None:
    """The complete bars of a piece that was interrupted, as MIDI; nothing where there is no new note yet."""
    rows = writer.so_far()
    if (rows[:, INSTRUMENT] == writer.vocabulary.bar).sum() <= writer.given:
        return
    piece = decode(rows, writer.vocabulary)
    write_midi(continued(prompt, rows, writer.vocabulary) if prompt else playable(piece, piece.n_bars), midi)
