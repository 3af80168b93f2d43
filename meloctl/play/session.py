"""One `meloctl play`: from MIDI files to a page."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.atomic_write import atomic_write_text
from analysis.errors import MeloError
from analysis.midi import read_midi
from analysis.midi_container import is_midi_name
from analysis.piece import Piece
from analysis.reading import READER
from meloctl.play.asked import AskedPiece, asked_of, asked_values
from meloctl.play.original import originals_of
from meloctl.play.play_page import PlayedPiece, play_page
from meloctl.play.roll import length_in_seconds, piano_roll
from meloctl.play.sound import audio_data_uri, recording_data_uri
from meloctl.progress import ProgressReporter
from meloctl.rows.parts import part_names
from meloctl.score.soundfont import find_soundfont
from meloctl.workspace import Recipe, RunOutput, Workspace, file_hash, text_hash

PAGE = "play.html"

MOST_SECONDS = 30 * 60
"""Longest music on one page, in seconds: it makes 34 MB, and takes half a gigabyte of memory while it is rendered."""


@dataclass(frozen=True, kw_only=True)
class PlayPlan:
    """A page to be written."""

    recipe: Recipe
    pieces: dict[Path, Piece]
    asked: dict[Path, AskedPiece]
    """What was asked of those of which something was."""

    originals: dict[Path, Path]
    """Recordings that pieces were transcribed from."""

    messages: list[str]
    soundfont: Path


def plan_play(space: Workspace, source: Path | None) -> PlayPlan:
    """Read the pieces of a page; nothing is written.

    Args:
        space: the workspace.
        source: a MIDI file, or a folder of them such as a run of `meloctl generate` or `transcribe`; None is the latest run of
            `generate`.

    Raises:
        MeloError: there is no such file or folder, a file cannot be read, or they are too long for one page.
    """
    place = source if source is not None else space.latest("out").folder
    pieces = _read(_files(place))
    soundfont, asked = find_soundfont(), asked_of(pieces)
    originals, messages = originals_of(pieces)
    recipe = Recipe(
        stage="play",
        command="play",
        inputs={
            "pieces": {path.name: file_hash(path) for path in pieces},
            "soundfont": file_hash(soundfont),
            "reader": READER,
            "asked": text_hash(json.dumps(asked_values(asked))),
            **({"originals": {path.name: file_hash(sound) for path, sound in originals.items()}} if originals else {}),
        },
        options={},
        label=place.name if place.is_dir() else place.stem,
    )
    return PlayPlan(
        recipe=recipe, pieces=pieces, asked=asked, originals=originals, messages=messages, soundfont=soundfont
    )


def write_page(plan: PlayPlan, folder: Path, reporter: ProgressReporter) -> RunOutput:
    """Render every piece and write the page into a folder; `reporter` gets one stage, a step a piece."""
    reporter.stage("rendering pieces", len(plan.pieces))
    played = []
    for path, piece in plan.pieces.items():
        audio, seconds = audio_data_uri(path, soundfont=plan.soundfont)
        roll = piano_roll(piece)
        asked, original = plan.asked.get(path), plan.originals.get(path)
        recording, length = recording_data_uri(original) if original else (None, 0.0)
        played.append(
            PlayedPiece(
                name=path.name,
                piece=piece,
                roll=roll,
                audio=audio,
                audio_seconds=max(seconds, length),
                original=recording,
                asked=asked,
            )
        )
        reporter.advance()
    atomic_write_text(folder / PAGE, play_page(plan.recipe.label, played))
    entries = [_manifest_entry(path.name, piece) for path, piece in plan.pieces.items()]
    return RunOutput(files=[PAGE], results={"pieces": entries})


def _files(place: Path) -> list[Path]:
    """The MIDI file at `place`, or those of a folder, piece-3 before piece-10."""
    if not place.is_dir():
        if not place.exists():
            raise MeloError(f"{place}: no such file; give a MIDI file or a folder that meloctl generate wrote")
        return [place]
    found = [p for p in place.iterdir() if is_midi_name(p.name) and not p.name.startswith(".")]
    if not found:
        raise MeloError(f"{place}: no MIDI file in it; give a MIDI file or a folder that meloctl generate wrote")
    return sorted(found, key=lambda p: (len(p.stem), p.name))


def _read(files: list[Path]) -> dict[Path, Piece]:
    """The pieces of the files. Raises MeloError when a file cannot be read or they are too long for one page."""
    pieces: dict[Path, Piece] = {}
    seconds = 0.0
    for path in files:
        try:
            pieces[path] = read_midi(path)
        except MeloError as error:
            raise MeloError(f"{path}: {error}") from error
        seconds += length_in_seconds(pieces[path])
        if seconds > MOST_SECONDS and len(files) == 1:
            raise MeloError(
                f"{path}: {seconds / 60:,.0f} minutes of music; a page holds {MOST_SECONDS // 60}: cut the file, or listen to "
                "it in a MIDI player"
            )
        if seconds > MOST_SECONDS:
            raise MeloError(
                f"{path.parent}: more than {MOST_SECONDS // 60} minutes of music in {len(files)} files, too much for one page; "
                f"name one of them: meloctl play {files[0]}"
            )
    return pieces


def _manifest_entry(name: str, piece: Piece) -> dict[str, Any]:
    return {
        "file": name,
        "bars": piece.n_bars,
        "parts": len(piece.parts),
        "instruments": part_names(piece),
        "notes": len(piece.notes),
        "seconds": round(piece.seconds, 3),
    }
