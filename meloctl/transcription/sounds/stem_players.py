"""All instruments of a split's sources, and how often each plays."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from meloctl.score.soundfont import read_soundfont
from meloctl.transcription.sounds.additive import additive_instrument
from meloctl.transcription.sounds.gus_patches import PatchFile, patch_notes
from meloctl.transcription.sounds.note_samples import SampledInstrument
from meloctl.transcription.sounds.program_uses import PROGRAM_USES
from meloctl.transcription.sounds.sample_packs import SamplePack, pack_notes, sustains
from meloctl.transcription.sounds.sound_sources import SoundFontSource, SoundSources
from meloctl.transcription.sounds.soundfont_notes import program_name, program_notes

_PACKS, _FONTS, _ADDITIVE, _PATCHES = 0.42, 0.44, 0.14, 0.4
"""Shares of the stems, as far as a split has such sources."""

_FONT_WEIGHTS = {"fluid": 1.0, "timgm": 0.6, "gmbank": 0.4, "opl3": 1.0}
_SUSTAINED_PACKS = 2.0
"""How often packs of instruments that sustain are used, relative to others."""

_ADDITIVE_COUNT = 48


@dataclass(frozen=True, kw_only=True)
class StemPlayer:
    """An instrument, before its notes are made."""

    name: str
    weight: float
    """Its share of the stems, relative to others."""

    notes: Callable[[], SampledInstrument]
    """Makes them; raises MeloError where the source cannot be read."""


def stem_players(sources: SoundSources, seed: int) -> list[StemPlayer]:
    """All instruments of the sources; with a training split, additive ones drawn by the seed."""
    players = []
    weights = [_SUSTAINED_PACKS if sustains(pack) else 1.0 for pack in sources.packs]
    for pack, own in zip(sources.packs, weights, strict=True):
        players.append(StemPlayer(name=pack.instrument, weight=_PACKS * own / sum(weights), notes=_of_pack(pack)))
    for patch in sources.patches:
        name = program_name("freepats", patch.program)
        players.append(StemPlayer(name=name, weight=_PATCHES / len(sources.patches), notes=_of_patch(patch)))
    players += _font_players(sources, seed)
    if sources.split == "train":
        for number in range(seed * 1000, seed * 1000 + _ADDITIVE_COUNT):
            name = f"additive {number}"
            players.append(StemPlayer(name=name, weight=_ADDITIVE / _ADDITIVE_COUNT, notes=_of_seed(number)))
    return players


def text_number(text: str) -> int:
    """A number of 32 bits that is the same in every process."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)


def _font_players(sources: SoundSources, seed: int) -> list[StemPlayer]:
    """Each program of each soundfont, struck at one velocity."""
    whole = sum(use.weight for use in PROGRAM_USES.values())
    fonts = sum(_FONT_WEIGHTS[font.family] for font in sources.fonts)
    players = []
    for font in sources.fonts:
        for program, use in PROGRAM_USES.items():
            name = program_name(font.family, program)
            velocity = int(np.random.default_rng([seed, text_number(name)]).integers(50, 120))
            weight = _FONTS * _FONT_WEIGHTS[font.family] / fonts * use.weight / whole
            players.append(StemPlayer(name=name, weight=weight, notes=_of_font(font, program, velocity)))
    return players


def _of_pack(pack: SamplePack) -> Callable[[], SampledInstrument]:
    return lambda: pack_notes(pack)


def _of_patch(patch: PatchFile) -> Callable[[], SampledInstrument]:
    return lambda: patch_notes(patch)


def _of_font(font: SoundFontSource, program: int, velocity: int) -> Callable[[], SampledInstrument]:
    return lambda: program_notes(_soundfont(font.path), font.family, program, velocity)


def _of_seed(seed: int) -> Callable[[], SampledInstrument]:
    return lambda: additive_instrument(seed)


@lru_cache(maxsize=3)
def _soundfont(path: Path) -> bytes:
    """A soundfont's bytes, which each of its programs needs."""
    return read_soundfont(path)
