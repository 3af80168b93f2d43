"""Which instrument plays which line, and the making of all stems of a split, instrument by instrument.

What exists is not made again: a build that was stopped goes on where it was, and ends in the same files.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from analysis.atomic_write import atomic_write_text
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from meloctl.score.soundfont import read_soundfont
from meloctl.score.synthesizer import SAMPLE_RATE
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.sounds.drum_patterns import drum_track
from meloctl.transcription.sounds.note_player import RATE, drawn_style, play
from meloctl.transcription.sounds.note_samples import SampledInstrument, Samples, transposed
from meloctl.transcription.sounds.performing import performed, played_lines
from meloctl.transcription.sounds.sound_codecs import coded
from meloctl.transcription.sounds.sound_sources import SoundFontSource, SoundSources
from meloctl.transcription.sounds.soundfont_notes import drum_sounds
from meloctl.transcription.sounds.stem_library import (
    STEM_RATE,
    STEM_SECONDS,
    InstrumentStems,
    StemLibrary,
    StemLine,
    write_stems,
)
from meloctl.transcription.sounds.stem_players import StemPlayer, stem_players, text_number
from meloctl.transcription.sounds.training_music import Line, excerpt, random_line, sorted_line, split_of

PLAN = "plan.json"

VARIANTS = 2
"""Instruments that play each line."""

_RANDOM_SHARE = 0.3
"""Of the groups of a training split, whose music is drawn at random."""

_LINES_A_GROUP = 3.6
"""About; what hours are turned into groups by."""

_CODED_SHARE = 0.15
_MERGED_SHARE = 0.35
"""Of the stems of instruments that play chords, which take another line along."""

_DRUM_TRACKS = 8
"""Of each soundfont."""

_FEWEST_SAMPLES, _MOST_DROPPED = 4, 0.4
"""An instrument with fewer notes in tune, or with a larger share of notes out of tune, is left out."""

_TRANSPOSED_SHARE, _FURTHEST = 0.45, 7
"""Of training stems, whose instrument is read faster or slower as a whole, so that formants move; at most so many semitones."""

_LEVEL = 0.06
"""Root mean square of a stem, where it sounds."""


class StemPlan(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a split's stems are made of: `plan.json` beside them, so that a folder is never filled from two plans."""

    noun: ClassVar = "plan of stems"

    hours: float
    seed: int
    sources: tuple[str, ...]
    """Names of the files."""

    pieces: int
    """MIDI files of the split."""


@dataclass(frozen=True, kw_only=True)
class _Task:
    """The stems of one player."""

    player: StemPlayer
    lines: tuple[StemLine, ...]
    variants: tuple[int, ...]


def build_stems(
    folder: Path,
    sources: SoundSources,
    music: Sequence[Path],
    *,
    hours: float,
    seed: int,
    on_stems: Callable[[int, int], None] = lambda _done, _total: None,
) -> StemLibrary:
    """The library of a split's stems in `folder`, of about so many hours.

    Args:
        folder: of all splits.
        sources: the soundfonts and packs of the split.
        music: MIDI files of all splits; those of this one are used. Where there are none, all music is drawn at random.
        hours: of sound.
        seed: of all that is drawn.
        on_stems: called with the number of stems that are done and of all.

    Raises:
        MeloError: a source cannot be read, or the folder holds stems that were made from something else.
    """
    own = [path for path in music if split_of(path) == sources.split]
    _keep_to_plan(folder / sources.split, StemPlan(hours=hours, seed=seed, sources=sources.names, pieces=len(own)))
    groups = max(1, round(hours * 3600 / STEM_SECONDS / _LINES_A_GROUP / VARIANTS))
    lines = [
        _group_lines(own, np.random.default_rng([seed, group]), sources.split == "train") for group in range(groups)
    ]
    tasks = _tasks(stem_players(sources, seed), lines, sources.split, seed)
    total, done = sum(len(task.lines) for task in tasks), 0
    for number, task in enumerate(tasks):
        path = folder / sources.split / f"{number:04}"
        if not path.with_suffix(".safetensors").is_file():
            _write_task(path, task, lines, seed, sources.split == "train")
        done += len(task.lines)
        on_stems(done, total)
    for number, font in enumerate(sources.fonts):
        path = folder / sources.split / f"drums-{number:02}"
        if not path.with_suffix(".safetensors").is_file():
            _write_drums(path, font, groups + number * _DRUM_TRACKS, seed)
    return StemLibrary(folder, sources.split)


def _keep_to_plan(folder: Path, plan: StemPlan) -> None:
    """Write the plan into a folder without one."""
    path = folder / PLAN
    if not path.is_file():
        atomic_write_text(path, plan.to_text())
    elif StemPlan.read(path) != plan:
        raise MeloError(
            f"{folder} holds stems of another plan: delete it, or give the hours, seed and sounds of its {PLAN}"
        )


def _group_lines(files: Sequence[Path], rng: np.random.Generator, at_random: bool) -> list[Line]:
    """The lines of a group, under one tempo; of a training split, some are drawn at random."""
    if at_random and rng.random() < _RANDOM_SHARE:
        lines = [random_line(rng, STEM_SECONDS) for _ in range(rng.integers(2, 6))]
    else:
        lines = excerpt(files, rng, STEM_SECONDS)
    return played_lines(lines, rng, STEM_SECONDS - 0.3)


def _tasks(players: list[StemPlayer], lines: list[list[Line]], split: str, seed: int) -> list[_Task]:
    """Who plays what, in the order of the players' names: parts of one group are played by different ones where they can be."""
    weights = np.array([player.weight for player in players])
    given: dict[int, list[tuple[StemLine, int]]] = {}
    for group, own in enumerate(lines):
        rng = np.random.default_rng([seed, group, 1])
        wanted = len(own) * VARIANTS
        if split == "validation":
            turn = rng.permutation(len(players))  # of few players, all in turn
            chosen = np.array(
                [turn[(line + variant) % len(turn)] for variant in range(VARIANTS) for line in range(len(own))]
            )
        else:
            chosen = rng.choice(len(players), wanted, replace=wanted > len(players), p=weights / weights.sum())
        for place, player in enumerate(chosen.tolist()):
            given.setdefault(player, []).append((StemLine(group=group, line=place % len(own)), place // len(own)))
    ordered = sorted(given, key=lambda player: text_number(players[player].name))
    return [
        _Task(
            player=players[player],
            lines=tuple(line for line, _ in given[player]),
            variants=tuple(variant for _, variant in given[player]),
        )
        for player in ordered
    ]


def _write_task(path: Path, task: _Task, lines: list[list[Line]], seed: int, at_random: bool) -> None:
    """Make and write the stems of one player; stems without a note are left out, as are all of one that is out of tune."""
    instrument = task.player.notes()
    kept, audio, notes = [], [], []
    for line, variant in zip(task.lines, task.variants, strict=True) if _in_tune(instrument) else ():
        rng = np.random.default_rng([seed, line.group, line.line, variant, 2])
        moved = at_random and rng.random() < _TRANSPOSED_SHARE
        semitones = int(np.clip(np.round(rng.normal(0, _FURTHEST / 2)), -_FURTHEST, _FURTHEST)) if moved else 0
        sound, table = _stem(lines[line.group], line.line, transposed(instrument, semitones), rng)
        if len(table) >= 3:
            kept.append(line)
            audio.append(sound)
            notes.append(table)
    stems = InstrumentStems(
        instrument=task.player.name,
        family=instrument.family,
        drums=False,
        stems=tuple(kept),
        dropped=instrument.dropped,
    )
    write_stems(path, stems, _stacked(audio), notes)


def _in_tune(instrument: SampledInstrument) -> bool:
    """Whether enough of an instrument's notes are in tune for the rest to be believed."""
    good, bad = len(instrument.notes), len(instrument.dropped)
    return good >= _FEWEST_SAMPLES and bad <= _MOST_DROPPED * (good + bad)


def _stem(
    lines: list[Line], number: int, instrument: SampledInstrument, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int16], NoteTable]:
    """(n,) sound and notes of one line, played by one instrument."""
    line = lines[number]
    if not instrument.monophonic and len(lines) > 1 and rng.random() < _MERGED_SHARE:
        other = lines[(number + int(rng.integers(1, len(lines)))) % len(lines)]
        line = sorted_line(
            np.append(line.onset, other.onset), np.append(line.offset, other.offset), np.append(line.pitch, other.pitch)
        )
    line = performed(line, instrument, rng)
    sound, notes = play(line, instrument, drawn_style(instrument, rng), rng, STEM_SECONDS)
    return _finished(sound, RATE, rng, rng.random() < _CODED_SHARE), notes


def _finished(sound: Samples, rate: int, rng: np.random.Generator, through_codec: bool) -> npt.NDArray[np.int16]:
    """(n,) at `STEM_RATE`, in 16 bits and at one level where it sounds."""
    import soxr

    resampled = soxr.resample(sound, rate, STEM_RATE)
    count = round(STEM_SECONDS * STEM_RATE)
    resampled = np.pad(resampled, (0, max(0, count - len(resampled))))[:count]
    if through_codec:
        resampled = coded(resampled, STEM_RATE, rng)
    loud = np.abs(resampled) > np.abs(resampled).max() * 0.01
    level = np.sqrt(np.square(resampled[loud]).mean()) if loud.any() else 1.0
    resampled = resampled * min(_LEVEL / max(level, 1e-9), 0.98 / max(np.abs(resampled).max(), 1e-9))
    return np.round(resampled * 32767).astype(np.int16)


def _stacked(audio: list[npt.NDArray[np.int16]]) -> npt.NDArray[np.int16]:
    return np.stack(audio) if audio else np.zeros((0, round(STEM_SECONDS * STEM_RATE)), np.int16)


def _write_drums(path: Path, font: SoundFontSource, first_group: int, seed: int) -> None:
    """Make and write a soundfont's drum tracks; they have no notes."""
    sounds = drum_sounds(read_soundfont(font.path))
    audio = list(_drum_tracks(sounds, SAMPLE_RATE, seed)) if sounds else []
    stems = InstrumentStems(
        instrument=f"{font.family} drums",
        family=font.family,
        drums=True,
        stems=tuple(StemLine(group=first_group + number, line=0) for number in range(len(audio))),
        dropped=(),
    )
    empty = NoteTable.of([], [], [])
    write_stems(path, stems, _stacked(audio), [empty] * len(audio))


def _drum_tracks(sounds: dict[int, Samples], rate: int, seed: int) -> Iterator[npt.NDArray[np.int16]]:
    """(n,) of each track."""
    for number in range(_DRUM_TRACKS):
        rng = np.random.default_rng([seed, number, 3])
        yield _finished(drum_track(sounds, rate, rng, STEM_SECONDS), rate, rng, False)
