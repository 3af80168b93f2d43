"""One `meloctl generate`: a plan → pieces as rows → files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.errors import MeloError
from analysis.midi import read_midi, write_midi
from analysis.piece import Piece
from meloctl.generation.continuation import Prompt
from meloctl.generation.infill import Infill, infilled_piece
from meloctl.generation.infill_pieces import InfillProgress, fill_segments
from meloctl.generation.piece_writer import PieceWriter
from meloctl.generation.plan import GenerationPlan
from meloctl.generation.sampler import generate
from meloctl.machine import computes_in_half
from meloctl.model.checkpoint import load_model
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.registry import Model
from meloctl.progress import ProgressReporter
from meloctl.rows.codec import Rows, decode
from meloctl.rows.grammar import check_rows
from meloctl.rows.parts import part_names
from meloctl.rows.vocabulary import INSTRUMENT, Vocabulary
from meloctl.score.editing import append_bars
from meloctl.score.piano_roll import draw_piano_roll
from meloctl.score.playable import playable
from meloctl.score.render import write_sound
from meloctl.workspace import Run, RunOutput, Workspace


@dataclass(frozen=True, kw_only=True)
class GeneratedPiece:
    """A piece that was generated."""

    piece: Piece
    n_bars: int
    """How many bars it must have."""

    new_bars: range
    """Bars with new notes."""

    facts: dict[str, Any]
    """JSON values that only this way of generating has."""

    grammar_errors: list[str]
    """What its rows break of the grammar: nothing, if all is well."""


def generate_pieces(space: Workspace, plan: GenerationPlan, reporter: ProgressReporter) -> Run:
    """Generate each piece as MIDI, picture and sound, once; each MIDI file is read back and must hold what was generated.

    Raises:
        KeyboardInterrupt: as it came, once the complete bars of each piece have been written as `unfinished….mid`.
    """

    def make(folder: Path) -> RunOutput:
        reporter.stage("writing bars", plan.new_bars)
        model, _ = load_model(plan.model_folder)
        if isinstance(plan.source, Infill):
            pieces, cache_bytes = _infill(model, plan, plan.source, folder, reporter.advance)
        else:
            pieces, cache_bytes = _compose(model, plan, plan.source, folder, reporter.advance)
        files, facts = [], []
        for name, seed, piece in zip(_names("piece", plan.seeds), plan.seeds, pieces, strict=True):
            facts.append(_write_piece(piece, plan, folder / f"{name}.mid", seed))
            files += [f"{name}.mid", f"{name}.png"]
            if plan.soundfont:
                write_sound(folder / f"{name}.mid", folder / f"{name}.{plan.sound}", soundfont=plan.soundfont)
                files.append(f"{name}.{plan.sound}")
        return RunOutput(files=files, results={"pieces": facts, "cache_bytes": cache_bytes})

    return space.once(plan.recipe, make)


def _compose(
    model: Model, plan: GenerationPlan, prompt: Prompt | None, folder: Path, on_bar: Callable[[], None]
) -> tuple[list[GeneratedPiece], int]:
    """Pieces of new bars, behind a prompt if there is one, and the most bytes of cache."""
    writers = [
        PieceWriter(
            vocabulary=model.vocabulary,
            constraints=plan.constraints,
            random=np.random.default_rng(seed),
            prompt=prompt.rows if prompt else None,
        )
        for seed in plan.seeds
    ]

    def unfinished(writer: PieceWriter) -> Piece | None:
        rows = writer.complete_bars()
        has_new_bars = _count_bars(rows, model.vocabulary) > writer.prompt_bars
        return _piece_of(rows, prompt, model.vocabulary) if has_new_bars else None

    with _saving_unfinished(folder, plan.seeds, lambda: [unfinished(writer) for writer in writers]):
        decoder = generate(model, writers, plan.sampling, half=computes_in_half("cpu"), on_bar=on_bar)
    first = prompt.bars if prompt else 0
    n_bars = first + plan.constraints.bars
    pieces = [
        GeneratedPiece(
            piece=_piece_of(rows, prompt, model.vocabulary),
            n_bars=n_bars,
            new_bars=range(first, n_bars),
            facts={},
            grammar_errors=check_rows(rows, model.vocabulary),
        )
        for rows in (np.stack(writer.rows) for writer in writers)
    ]
    return pieces, decoder.most_bytes


def _piece_of(rows: Rows, prompt: Prompt | None, vocabulary: Vocabulary) -> Piece:
    """The piece of generated rows (L, F), which begin with the prompt's, behind the prompt's own bars."""
    if prompt:
        return append_bars(prompt.piece, prompt.row_bars, prompt.end_tick, rows, vocabulary)
    return playable(decode(rows, vocabulary), _count_bars(rows, vocabulary))


def _count_bars(rows: Rows, vocabulary: Vocabulary) -> int:
    return int((rows[:, INSTRUMENT] == vocabulary.bar).sum())


def _infill(
    model: Model, plan: GenerationPlan, infill: Infill, folder: Path, on_bar: Callable[[], None]
) -> tuple[list[GeneratedPiece], int]:
    """Versions of a piece with its masked bars written, and the most bytes of cache."""
    assert isinstance(model, MeloFormer)  # no other is trained with infill
    versions = [InfillProgress(random=np.random.default_rng(seed)) for seed in plan.seeds]
    vocabulary, half = model.vocabulary, computes_in_half("cpu")

    def unfinished(version: InfillProgress) -> Piece | None:
        if not version.bars_done:
            return None
        return infilled_piece(infill, version.notes, vocabulary, bars_done=version.bars_done)

    with _saving_unfinished(folder, plan.seeds, lambda: [unfinished(version) for version in versions]):
        most_bytes = fill_segments(
            model, infill, versions, plan.sampling, key=plan.constraints.key, half=half, on_bar=on_bar
        )
    kept = int((~infill.masked_notes).sum())
    facts = {"first_bar": infill.bars.start + 1, "last_bar": infill.bars.stop, "kept_notes": kept}
    pieces = [
        GeneratedPiece(
            piece=infilled_piece(infill, version.notes, vocabulary),
            n_bars=infill.piece.n_bars,
            new_bars=infill.bars,
            facts=facts,
            grammar_errors=[],
        )
        for version in versions
    ]
    return pieces, most_bytes


@contextmanager
def _saving_unfinished(folder: Path, seeds: range, pieces: Callable[[], list[Piece | None]]) -> Iterator[None]:
    """On an interrupt, write what there is of each piece as `unfinished….mid`; None where there is nothing."""
    try:
        yield
    except KeyboardInterrupt:
        for name, piece in zip(_names("unfinished", seeds), pieces(), strict=True):
            if piece is not None:
                write_midi(piece, folder / f"{name}.mid")
        raise


def _names(stem: str, seeds: range) -> list[str]:
    """Names of the files of each piece, without their ending."""
    return [stem] if len(seeds) == 1 else [f"{stem}-{seed}" for seed in seeds]


def _write_piece(generated: GeneratedPiece, plan: GenerationPlan, midi: Path, seed: int) -> dict[str, Any]:
    """Write one piece and its picture; facts about it, from the file as it reads back."""
    piece, n_bars, errors = generated.piece, generated.n_bars, generated.grammar_errors
    write_midi(piece, midi)
    again = read_midi(midi)
    if errors or (again.n_bars, len(again.notes)) != (n_bars, len(piece.notes)):
        raise MeloError(
            f"{midi}: reads back as {again.n_bars} bars and {len(again.notes)} notes, not {n_bars} and "
            f"{len(piece.notes)} {errors[:1]}; this is a bug, please report it with the seed {seed}"
        )
    title = f"{n_bars} bars, seed {seed}, {plan.model_folder.name}"
    draw_piano_roll(piece, midi.with_suffix(".png"), title=title, new=generated.new_bars)
    return {
        "file": midi.name,
        "bars": again.n_bars,
        "parts": len(again.parts),
        "instruments": part_names(piece),
        "notes": len(again.notes),
        "seconds": round(again.seconds, 3),
        **generated.facts,
    }
