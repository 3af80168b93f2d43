"""One `meloctl generate`: a plan → pieces as rows → files."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.arrays import Floats
from analysis.atomic_write import atomic_write
from analysis.errors import MeloError
from analysis.midi import read_midi
from analysis.midi_write import midi_bytes
from analysis.piece import Piece
from meloctl.generation.continuation import Prompt, continued
from meloctl.generation.edit_messages import edited_messages
from meloctl.generation.infill import Infill, infilled
from meloctl.generation.infill_pieces import InfillProgress, fill_segments
from meloctl.generation.new_bars import count_bars
from meloctl.generation.new_pieces import new_piece_writers
from meloctl.generation.plan import GenerationPlan
from meloctl.generation.sampler import generate
from meloctl.generation.sounds import sounds_beside
from meloctl.generation.steering import SteeredPiece
from meloctl.machine import computes_in_half
from meloctl.model.checkpoint import load_model
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.registry import Model
from meloctl.plans.planned_model import plan_channel
from meloctl.progress import ProgressReporter, word_on_compiling
from meloctl.rows.attributes import bar_attributes
from meloctl.rows.codec import Rows, decode, encode
from meloctl.rows.grammar import check_rows
from meloctl.rows.parts import part_names
from meloctl.rows.vocabulary import Vocabulary, default_vocabulary
from meloctl.score.join_notes import EditedMidi
from meloctl.score.playable import playable
from meloctl.threads import using_threads
from meloctl.workspace import Run, RunOutput, Workspace


@dataclass(frozen=True, kw_only=True)
class GeneratedPiece:
    """A piece that was generated, as a MIDI file."""

    data: bytes
    n_bars: int
    """How many bars it must have."""

    n_notes: int
    """How many notes it must have."""

    new_bars: range
    """Bars with new notes."""

    facts: dict[str, Any]
    """JSON values that only this way of generating has."""

    grammar_errors: list[str]
    """What its rows break of the grammar: nothing, if all is well."""


def generate_pieces(space: Workspace, plan: GenerationPlan, reporter: ProgressReporter) -> Run:
    """Generate each piece as MIDI, picture and sound, once; each MIDI file is read back and must hold what was generated. All
    MIDI files are written before any sound is; music that is too long for one has none, which its facts say.

    Raises:
        KeyboardInterrupt: as it came, once the complete bars of each piece have been written as `unfinished….mid`.
    """

    def make(folder: Path) -> RunOutput:
        reporter.stage("writing bars", plan.new_bars)
        model, _ = load_model(plan.model_folder)
        with using_threads(plan.threads), word_on_compiling(reporter, "what writes rows") as advance:
            steered, asked = _steered(model, plan)
            if isinstance(plan.source, Infill):
                pieces, cache_bytes = _infill(model, plan, plan.source, steered, folder, advance)
            else:
                pieces, cache_bytes = _compose(model, plan, plan.source, steered, folder, advance)
        midis = [folder / f"{name}.mid" for name in _names("piece", plan.seeds)]
        facts, files = _write_files(pieces, plan, midis)
        return RunOutput(files=files, results={"pieces": facts, "cache_bytes": cache_bytes, **asked})

    return space.once(plan.recipe, make)


def _steered(model: Model, plan: GenerationPlan) -> tuple[list[SteeredPiece] | None, dict[str, Any]]:
    """What steers each piece, if something does, and what was asked, for the manifest."""
    if plan.steering is None:
        return None, {}
    where, vocabulary = plan.steered, model.vocabulary
    pieces = plan.steering.pieces(plan_channel(model), vocabulary, where, plan.seeds)
    wanted = _json_values(plan.steering.wanted(vocabulary, where))
    return pieces, {"asked": {**plan.steering.to_json(), "first_bar": where.first + 1, "wanted": wanted}}


def _compose(
    model: Model,
    plan: GenerationPlan,
    prompt: Prompt | None,
    steered: list[SteeredPiece] | None,
    folder: Path,
    on_bar: Callable[[], None],
) -> tuple[list[GeneratedPiece], int]:
    """Pieces of new bars, behind a prompt if there is one, and the most bytes of cache."""
    writers = new_piece_writers(model, plan.constraints, steered or [None] * len(plan.seeds), plan.seeds, prompt=prompt)

    def unfinished(piece: int) -> bytes | None:
        rows = writers.complete_bars(piece)
        has_new_bars = count_bars(rows, model.vocabulary) > (prompt.row_bars if prompt else 0)
        return _generated(rows, prompt, model.vocabulary).data if has_new_bars else None

    with _saving_unfinished(folder, plan.seeds, lambda: [unfinished(i) for i in range(len(writers))]):
        half = computes_in_half("cpu")
        plans = None if steered is None else [piece.plans for piece in steered]
        decoder = generate(model, writers, plan.sampling, half=half, plans=plans, on_bar=on_bar)
    pieces = [_generated(writers.rows(i), prompt, model.vocabulary) for i in range(len(writers))]
    return pieces, decoder.most_bytes


def _generated(rows: Rows, prompt: Prompt | None, vocabulary: Vocabulary) -> GeneratedPiece:
    """The piece of generated rows (L, F), behind the bars of the prompt with which they begin."""
    new_bars = count_bars(rows, vocabulary) - (prompt.row_bars if prompt else 0)
    errors = check_rows(rows, vocabulary)
    if prompt:
        n_bars = prompt.bars + new_bars
        return _edited(continued(prompt, rows, vocabulary), n_bars, range(prompt.bars, n_bars), {}, errors)
    piece = playable(decode(rows, vocabulary))
    return GeneratedPiece(
        data=midi_bytes(piece),
        n_bars=new_bars,
        n_notes=len(piece.notes),
        new_bars=range(new_bars),
        facts={},
        grammar_errors=errors,
    )


def _edited(
    edited: EditedMidi, n_bars: int, new_bars: range, facts: dict[str, Any], errors: list[str]
) -> GeneratedPiece:
    return GeneratedPiece(
        data=edited.data,
        n_bars=n_bars,
        n_notes=len(edited.source.piece.notes),
        new_bars=new_bars,
        facts={**facts, "messages": edited_messages(edited)},
        grammar_errors=errors,
    )


def _infill(
    model: Model,
    plan: GenerationPlan,
    infill: Infill,
    steered: list[SteeredPiece] | None,
    folder: Path,
    on_bar: Callable[[], None],
) -> tuple[list[GeneratedPiece], int]:
    """Versions of a piece with its masked bars written, and the most bytes of cache."""
    assert isinstance(model, MeloFormer)  # no other is trained with infill
    plans = None if steered is None else [piece.plans for piece in steered]
    versions = [InfillProgress(random=np.random.default_rng(seed)) for seed in plan.seeds]
    vocabulary, half = model.vocabulary, computes_in_half("cpu")

    def unfinished(version: InfillProgress) -> bytes | None:
        if not version.bars_done:
            return None
        return infilled(infill, version.notes, vocabulary, bars_done=version.bars_done).data

    with _saving_unfinished(folder, plan.seeds, lambda: [unfinished(version) for version in versions]):
        most_bytes = fill_segments(
            model, infill, versions, plan.sampling, key=plan.constraints.key, half=half, plans=plans, on_bar=on_bar
        )
    kept = int((~infill.masked_notes).sum())
    facts = {"first_bar": infill.bars.start + 1, "last_bar": infill.bars.stop, "kept_notes": kept}
    pieces = [
        _edited(infilled(infill, version.notes, vocabulary), infill.piece.n_bars, infill.bars, facts, [])
        for version in versions
    ]
    return pieces, most_bytes


@contextmanager
def _saving_unfinished(folder: Path, seeds: range, files: Callable[[], list[bytes | None]]) -> Iterator[None]:
    """On an interrupt, write what there is of each piece as `unfinished….mid`; None where there is nothing."""
    try:
        yield
    except KeyboardInterrupt:
        for name, data in zip(_names("unfinished", seeds), files(), strict=True):
            if data is not None:
                with atomic_write(folder / f"{name}.mid") as partial:
                    partial.write_bytes(data)
        raise


def _names(stem: str, seeds: range) -> list[str]:
    """Names of the files of each piece, without their ending."""
    return [stem] if len(seeds) == 1 else [f"{stem}-{seed}" for seed in seeds]


def _write_files(
    pieces: Sequence[GeneratedPiece], plan: GenerationPlan, midis: Sequence[Path]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Write the MIDI files of pieces, then their sounds and beside them their pictures; facts of each, and all files' names.

    Raises:
        MeloError: there is no sound; the MIDI files and their pictures stay.
    """
    from meloctl.score.piano_roll import draw_piano_roll

    read = [_write_midi(*each) for each in zip(pieces, midis, plan.seeds, strict=True)]
    facts, files = [], []
    with sounds_beside(midis, ending=plan.sound, soundfont=plan.soundfont) as sounds:
        for piece, midi, written, seed in zip(pieces, midis, read, plan.seeds, strict=True):
            title = f"{piece.n_bars} bars, seed {seed}, {plan.model_name}"
            draw_piano_roll(written, midi.with_suffix(".png"), title=title, new=piece.new_bars)
            facts.append({**_facts(piece, written, midi), **_measured(written, plan)})
            files += [midi.name, midi.with_suffix(".png").name]
        for midi, fact, sound in zip(midis, facts, sounds, strict=False):
            if lacking := sound.result():
                fact["messages"] = [*fact.get("messages", []), lacking]
            else:
                files.append(midi.with_suffix(f".{plan.sound}").name)
    return facts, files


def _write_midi(generated: GeneratedPiece, midi: Path, seed: int) -> Piece:
    """Write a piece; it, as it reads back. A file that reads otherwise is removed."""
    n_bars, n_notes, errors = generated.n_bars, generated.n_notes, generated.grammar_errors
    with atomic_write(midi) as partial:
        partial.write_bytes(generated.data)
        piece = read_midi(partial)
        if errors or (piece.n_bars, len(piece.notes)) != (n_bars, n_notes):
            raise MeloError(
                f"{midi}: reads back as {piece.n_bars} bars and {len(piece.notes)} notes, not {n_bars} and "
                f"{n_notes} {errors[:1]}; this is a bug, please report it with the seed {seed}"
            )
    return piece


def _measured(piece: Piece, plan: GenerationPlan) -> dict[str, Any]:
    """The attributes of each new bar of a piece, where something was asked of them."""
    if plan.steering is None:
        return {}
    where, vocabulary = plan.steered, default_vocabulary()
    measured = bar_attributes(encode(piece, vocabulary)[0], vocabulary)
    return {"attributes": _json_values(measured[where.first : where.first + where.bars])}


def _json_values(attributes: Floats) -> list[list[float | None]]:
    """Attributes (T, A) as JSON values; null for NaN."""
    return [[round(x, 4) if np.isfinite(x) else None for x in bar] for bar in attributes.tolist()]


def _facts(generated: GeneratedPiece, piece: Piece, midi: Path) -> dict[str, Any]:
    """Facts of a piece, from its file as it reads back."""
    return {
        "file": midi.name,
        "bars": piece.n_bars,
        "parts": len(piece.parts),
        "instruments": part_names(piece),
        "notes": len(piece.notes),
        "seconds": round(piece.seconds, 3),
        **generated.facts,
    }
