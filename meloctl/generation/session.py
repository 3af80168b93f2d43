"""One `meloctl generate`: from a plan to files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.errors import MeloError
from analysis.midi import read_midi, write_midi
from analysis.piece import Piece
from meloctl.generation.continuation import continued
from meloctl.generation.infill import Infill, filled
from meloctl.generation.infill_pieces import InfillProgress, fill_segments
from meloctl.generation.options import PiecePlan
from meloctl.generation.piece_writer import Constraints, PieceWriter
from meloctl.generation.sampler import generate
from meloctl.machine import computes_in_half
from meloctl.model.checkpoint import load_model
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.registry import Model
from meloctl.rows.codec import decode
from meloctl.rows.grammar import check_rows
from meloctl.rows.parts import part_names
from meloctl.rows.vocabulary import INSTRUMENT
from meloctl.score.piano_roll import draw_piano_roll
from meloctl.score.playable import playable
from meloctl.score.render import write_sound
from meloctl.score.soundfont import tuned_soundfont
from meloctl.workspace import Run, Workspace


@dataclass(frozen=True, kw_only=True, eq=False)
class WrittenPiece:
    """A piece that was written."""

    piece: Piece
    n_bars: int
    """That it must have."""

    new: range
    """Bars with new notes."""

    facts: dict[str, Any]
    """What only this way of writing can tell."""

    broken: list[str]
    """What is wrong with its rows: nothing."""


def write_pieces(space: Workspace, plan: PiecePlan, *, on_bar: Callable[[], None] = lambda: None) -> Run:
    """Write each piece as MIDI, picture and sound; each MIDI file is read back and must hold what was generated.

    Raises:
        KeyboardInterrupt: as it came, once the complete bars of each piece have been written as `unfinished….mid`.
    """
    model, _ = load_model(plan.model_folder)
    folder = space.folder(plan.recipe)
    if isinstance(plan.source, Infill):
        made, cache_bytes = _filled(model, plan, plan.source, folder, on_bar)
    else:
        made, cache_bytes = _composed(model, plan, plan.source, folder, on_bar)
    files, told = [], []
    for name, seed, one in zip(_names("piece", plan.seeds), plan.seeds, made, strict=True):
        told.append(_written(one, plan, folder / f"{name}.mid", seed))
        files += [f"{name}.mid", f"{name}.png"]
        if plan.soundfont:
            font = tuned_soundfont(plan.soundfont, space.cache)
            write_sound(folder / f"{name}.mid", folder / f"{name}.{plan.sound}", soundfont=font)
            files.append(f"{name}.{plan.sound}")
    return space.finish(plan.recipe, files=files, results={"pieces": told, "cache_bytes": cache_bytes})


def _composed(
    model: Model, plan: PiecePlan, wish: Constraints, folder: Path, on_bar: Callable[[], None]
) -> tuple[list[WrittenPiece], int]:
    """New bars, from nothing or behind a prompt, and the most bytes of cache."""
    writers = [
        PieceWriter(vocabulary=model.vocabulary, wish=wish, random=np.random.default_rng(seed)) for seed in plan.seeds
    ]
    prompt = plan.prompt
    if prompt:
        for writer in writers:
            writer.begin(prompt.rows)
    try:
        decoder = generate(model, writers, plan.sampling, half=computes_in_half("cpu"), on_bar=on_bar)
    except KeyboardInterrupt:
        for name, writer in zip(_names("unfinished", plan.seeds), writers, strict=True):
            _save_unfinished(writer, plan, folder / f"{name}.mid")
        raise
    n_bars = wish.bars + (prompt.bars - prompt.row_bars if prompt else 0)
    made = []
    for rows in (np.stack(writer.rows) for writer in writers):
        whole = decode(rows, model.vocabulary)
        made.append(
            WrittenPiece(
                piece=continued(prompt, rows, model.vocabulary) if prompt else playable(whole, n_bars),
                n_bars=n_bars,
                new=range(prompt.bars if prompt else 0, n_bars),
                facts={},
                broken=check_rows(rows, model.vocabulary),
            )
        )
    return made, decoder.most_bytes


def _filled(
    model: Model, plan: PiecePlan, infill: Infill, folder: Path, on_bar: Callable[[], None]
) -> tuple[list[WrittenPiece], int]:
    """A piece with its gap filled, once for each seed, and the most bytes of cache."""
    assert isinstance(model, MeloFormer)  # no other is trained to
    fillings = [InfillProgress(random=np.random.default_rng(seed)) for seed in plan.seeds]
    half = computes_in_half("cpu")
    try:
        most_bytes = fill_segments(model, infill, fillings, plan.sampling, key=plan.key, half=half, on_bar=on_bar)
    except KeyboardInterrupt:
        for name, filling in zip(_names("unfinished", plan.seeds), fillings, strict=True):
            if filling.bars:
                write_midi(filled(infill, filling.new, model.vocabulary, bars=filling.bars), folder / f"{name}.mid")
        raise
    made = []
    for piece in (filled(infill, filling.new, model.vocabulary) for filling in fillings):
        kept = int((~infill.replaced).sum())
        facts = {"first_bar": infill.bars.start + 1, "last_bar": infill.bars.stop, "kept_notes": kept}
        made.append(WrittenPiece(piece=piece, n_bars=infill.piece.n_bars, new=infill.bars, facts=facts, broken=[]))
    return made, most_bytes


def _names(stem: str, seeds: range) -> list[str]:
    """Of the files of each piece, without their ending."""
    return [stem] if len(seeds) == 1 else [f"{stem}-{seed}" for seed in seeds]


def _written(made: WrittenPiece, plan: PiecePlan, midi: Path, seed: int) -> dict[str, Any]:
    """Write one piece and its picture; facts about it, from the file as it reads back."""
    piece, n_bars = made.piece, made.n_bars
    write_midi(piece, midi)
    again = read_midi(midi)
    if made.broken or (again.n_bars, len(again.notes)) != (n_bars, len(piece.notes)):
        raise MeloError(
            f"{midi}: reads back as {again.n_bars} bars and {len(again.notes)} notes, not {n_bars} and "
            f"{len(piece.notes)} {made.broken[:1]}; this is a bug, please report it with the seed {seed}"
        )
    title = f"{n_bars} bars, seed {seed}, {plan.model_folder.name}"
    draw_piano_roll(piece, midi.with_suffix(".png"), title=title, new=made.new)
    return {
        "file": midi.name,
        "bars": again.n_bars,
        "parts": len(again.parts),
        "instruments": part_names(piece),
        "notes": len(again.notes),
        "seconds": round(again.seconds, 3),
        **made.facts,
    }


def _save_unfinished(writer: PieceWriter, plan: PiecePlan, midi: Path) -> None:
    """The complete bars of a piece that was interrupted, as MIDI; nothing where there is no new note yet."""
    rows, vocabulary = writer.so_far(), writer.vocabulary
    if (rows[:, INSTRUMENT] == vocabulary.bar).sum() <= writer.given:
        return
    piece = decode(rows, vocabulary)
    write_midi(continued(plan.prompt, rows, vocabulary) if plan.prompt else playable(piece, piece.n_bars), midi)
