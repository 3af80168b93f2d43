"""One `meloctl generate`: from the workspace's latest model to files."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from analysis.errors import MeloError
from analysis.midi import read_midi, write_midi
from meloctl.generation.sampler import Sampling, generate_rows
from meloctl.generation.score import draw_piano_roll, playable, write_wav
from meloctl.generation.soundfont import find_soundfont, tuned_soundfont
from meloctl.model.meloformer import MeloFormer
from meloctl.rows.codec import decode
from meloctl.rows.grammar import check_rows
from meloctl.training.checkpoint import load_model
from meloctl.workspace import Recipe, Run, Workspace, file_hash


@dataclass(frozen=True, kw_only=True)
class PiecePlan:
    """A piece to be written."""

    recipe: Recipe
    model_folder: Path
    sampling: Sampling
    soundfont: Path | None
    """What to render with; None leaves the sound out."""


def plan_piece(space: Workspace, sampling: Sampling, *, wav: bool) -> PiecePlan:
    """What `meloctl generate` will do; nothing is written. Raises MeloError when there is no model yet, or no soundfont."""
    model = space.latest("model").folder
    recipe = Recipe(
        stage="out",
        command="generate",
        inputs={"model": model.name, "weights": file_hash(model / "model.safetensors")},
        options={**asdict(sampling), "wav": wav},
        label=f"{model.name}-seed{sampling.seed}-{sampling.bars}bars",
    )
    soundfont = find_soundfont() if wav else None
    return PiecePlan(recipe=recipe, model_folder=model, sampling=sampling, soundfont=soundfont)


def write_piece(space: Workspace, plan: PiecePlan, *, on_bar: Callable[[], None] = lambda: None) -> Run:
    """Write piece.mid, piece.png and piece.wav; the MIDI file is read back and must hold what was generated."""
    model, _ = load_model(plan.model_folder)
    if not isinstance(model, MeloFormer):
        raise MeloError(
            f"{plan.model_folder}: this model is here to be compared with, it cannot write music yet; train one that can: "
            "meloctl train, or with --model museformer or dense"
        )
    rows = generate_rows(model, plan.sampling, on_bar=on_bar)
    broken = check_rows(rows, model.vocabulary)
    piece = playable(decode(rows, model.vocabulary), plan.sampling.bars)
    folder = space.folder(plan.recipe)
    midi = folder / "piece.mid"
    write_midi(piece, midi)
    again = read_midi(midi)
    if broken or (again.n_bars, len(again.notes)) != (plan.sampling.bars, len(piece.notes)):
        raise MeloError(
            f"{midi}: reads back as {again.n_bars} bars and {len(again.notes)} notes, not {plan.sampling.bars} and "
            f"{len(piece.notes)} {broken[:1]}; this is a bug, please report it with the seed {plan.sampling.seed}"
        )
    files = ["piece.mid", "piece.png"]
    draw_piano_roll(
        piece,
        folder / "piece.png",
        title=f"{plan.sampling.bars} bars, seed {plan.sampling.seed}, {plan.model_folder.name}",
    )
    if plan.soundfont:
        write_wav(midi, folder / "piece.wav", soundfont=tuned_soundfont(plan.soundfont, space.root / "cache"))
        files.append("piece.wav")
    return space.finish(
        plan.recipe,
        files=files,
        results={
            "piece": {
                "bars": again.n_bars,
                "parts": len(again.parts),
                "notes": len(again.notes),
                "seconds": round(again.seconds, 3),
            },
            "parts": [p.name for p in piece.parts],
        },
    )
