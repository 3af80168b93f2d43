"""One `meloctl generate`: options → a plan → pieces as rows → files."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.errors import MeloError
from analysis.midi import read_midi, write_midi
from analysis.piece import Piece
from meloctl.generation.constraints import MOST_PARTS, MOST_PITCHED, Constraints, check_bars
from meloctl.generation.continuation import Prompt, encode_prompt
from meloctl.generation.infill import Infill, encode_infill, infilled_piece
from meloctl.generation.infill_pieces import InfillProgress, fill_segments
from meloctl.generation.options import GenerateOptions, Sampling
from meloctl.generation.parse_options import parse_bars_range, parse_constraints, parse_infill_parts
from meloctl.generation.piece_writer import PieceWriter
from meloctl.generation.sampler import generate
from meloctl.machine import computes_in_half
from meloctl.model.checkpoint import load_model, read_description
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.registry import Model
from meloctl.progress import ProgressReporter
from meloctl.rows.codec import Rows, decode
from meloctl.rows.general_midi import instrument_name
from meloctl.rows.grammar import check_rows
from meloctl.rows.parts import PartId, part_ids, part_names
from meloctl.rows.vocabulary import INSTRUMENT, Vocabulary, default_vocabulary
from meloctl.score.editing import append_bars
from meloctl.score.piano_roll import draw_piano_roll
from meloctl.score.playable import playable
from meloctl.score.render import write_sound
from meloctl.score.soundfont import find_soundfont, tuned_soundfont
from meloctl.workspace import Recipe, Run, RunOutput, Workspace, file_hash


@dataclass(frozen=True, kw_only=True, eq=False)
class GenerationPlan:
    """Pieces to be generated."""

    recipe: Recipe
    model_folder: Path
    source: Prompt | Infill | None
    """What the new notes join: a prompt before them, a piece around them, or nothing."""

    constraints: Constraints
    """What new bars must be; of an infill only the key."""

    sampling: Sampling
    seeds: range
    sound: str
    """One of SOUNDS."""

    soundfont: Path | None
    """What to render with; None where there is no sound."""

    messages: tuple[str, ...]
    """What the user should know."""

    @property
    def new_bars(self) -> int:
        """Bars to be written of all pieces, as rows count them."""
        each = len(self.source.row_bars) if isinstance(self.source, Infill) else self.constraints.bars
        return each * len(self.seeds)


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


def plan_generation(space: Workspace, options: GenerateOptions) -> GenerationPlan:
    """What `meloctl generate` will do; nothing is written.

    Raises:
        MeloError: an option names nothing or is out of range, a file cannot be used, there is no model yet or it cannot do
            infill, or there is no soundfont.
    """
    vocabulary = default_vocabulary()
    constraints = parse_constraints(options, vocabulary)
    source = _read_source(options, vocabulary)
    if isinstance(source, Prompt):
        check_bars(constraints.bars, source.row_bars)
    model = space.latest("model").folder
    if options.infill and not read_description(model).infill:
        raise MeloError(
            f"{model} was not trained with infill; train one that is: meloctl train, without `infill 0`", field="infill"
        )
    return GenerationPlan(
        recipe=_recipe(options, model),
        model_folder=model,
        source=source,
        constraints=constraints,
        sampling=options.sampling,
        seeds=range(options.seed, options.seed + options.count),
        sound=options.sound,
        soundfont=find_soundfont() if options.sound != "none" else None,
        messages=_new_part_messages(source, vocabulary) if isinstance(source, Infill) else (),
    )


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
                font = tuned_soundfont(plan.soundfont, space.cache)
                write_sound(folder / f"{name}.mid", folder / f"{name}.{plan.sound}", soundfont=font)
                files.append(f"{name}.{plan.sound}")
        return RunOutput(files=files, results={"pieces": facts, "cache_bytes": cache_bytes})

    return space.once(plan.recipe, make)


def _read_source(options: GenerateOptions, vocabulary: Vocabulary) -> Prompt | Infill | None:
    """What new notes join, read from the file that the options name."""
    if options.prompt is not None:
        prompt = encode_prompt(_read("prompt", options.prompt), options.keep_bars, vocabulary)
        _check_channels(part_ids(prompt.piece.parts, vocabulary), options.prompt, vocabulary)
        return prompt
    if options.infill is None:
        return None
    piece = _read("infill", options.infill)
    bars = None if options.bars_range is None else parse_bars_range(options.bars_range, piece.n_bars)
    parts = None if options.parts is None else parse_infill_parts(options.parts, piece, vocabulary)
    infill = encode_infill(piece, bars, parts, vocabulary)
    _check_channels([*{*part_ids(piece.parts, vocabulary), *infill.parts}], options.infill, vocabulary)
    return infill


def _read(option: str, path: Path) -> Piece:
    try:
        return read_midi(path)
    except MeloError as error:
        raise MeloError(str(error), field=option, given=path) from error


def _check_channels(parts: list[PartId], path: Path, vocabulary: Vocabulary) -> None:
    """Raises MeloError for more parts, or more pitched ones, than MIDI has channels for."""
    pitched = sum(instrument != vocabulary.drums for instrument, _ in parts)
    if len(parts) > MOST_PARTS or pitched > MOST_PITCHED:
        raise MeloError(f"{path}: {len(parts)} parts; MIDI has room for {MOST_PITCHED} and drums: give fewer")


def _recipe(options: GenerateOptions, model: Path) -> Recipe:
    files = {"prompt": options.prompt, "infill": options.infill}
    given = asdict(options if options.infill else replace(options, bars=options.new_bars))
    sampling, paths = given.pop("sampling"), {name: str(path) if path else None for name, path in files.items()}
    pieces = f"-{options.count}pieces" if options.count > 1 else ""
    what = f"infill-{options.infill.stem[:40]}" if options.infill else f"{options.new_bars}bars"
    return Recipe(
        stage="out",
        command="generate",
        inputs={
            "model": model.name,
            "weights": file_hash(model / "model.safetensors"),
            **{name: file_hash(path) for name, path in files.items() if path},
        },
        options={**given, **sampling, **paths},
        label=f"{model.name}-seed{options.seed}-{what}{pieces}",
    )


def _new_part_messages(infill: Infill, vocabulary: Vocabulary) -> tuple[str, ...]:
    """That parts are new to the piece."""
    ids = set(part_ids(infill.piece.parts, vocabulary))
    new = [instrument_name(*vocabulary.program_of(part[0])) for part in infill.parts if part not in ids]
    if not new:
        return ()
    return (f"The file has no {', no '.join(new)}: added as {'a new part' if len(new) == 1 else 'new parts'}",)


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
    first = prompt.bars if prompt else 0
    n_bars = first + plan.constraints.bars

    def finished(rows: Rows) -> Piece:
        if prompt:
            return append_bars(prompt.piece, prompt.row_bars, prompt.end_tick, rows, model.vocabulary)
        piece = decode(rows, model.vocabulary)
        return playable(piece, int((rows[:, INSTRUMENT] == model.vocabulary.bar).sum()))

    def unfinished(writer: PieceWriter) -> Piece | None:
        rows = writer.complete_bars()
        has_new_bars = (rows[:, INSTRUMENT] == model.vocabulary.bar).sum() > writer.prompt_bars
        return finished(rows) if has_new_bars else None

    with _saving_unfinished(folder, plan.seeds, lambda: [unfinished(writer) for writer in writers]):
        decoder = generate(model, writers, plan.sampling, half=computes_in_half("cpu"), on_bar=on_bar)
    pieces = [
        GeneratedPiece(
            piece=finished(rows),
            n_bars=n_bars,
            new_bars=range(first, n_bars),
            facts={},
            grammar_errors=check_rows(rows, model.vocabulary),
        )
        for rows in (np.stack(writer.rows) for writer in writers)
    ]
    return pieces, decoder.most_bytes


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
