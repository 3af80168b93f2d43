"""Single notes of a soundfont's programs, rendered one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meloctl.rows.general_midi import PROGRAMS
from meloctl.score.performance import ALL_SOUND_OFF, CHORUS, CONTROLLER, NOTE_OFF, NOTE_ON, PROGRAM, REVERB
from meloctl.score.synthesizer import BLOCK, DRUM_CHANNEL, SAMPLE_RATE, Timed, synthesize
from meloctl.transcription.sounds.note_samples import NoteSample, SampledInstrument, Samples, checked_note

_STEP = 3
"""Semitones between the notes that are rendered."""

_HELD_S, _SLOT_S = 2.5, 3.0
_LEAD_S = 0.05

DRUM_KEYS = (35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 53, 54, 56, 57, 59)
"""General MIDI drums that patterns are made of."""


@dataclass(frozen=True, kw_only=True)
class ProgramUse:
    """How a General MIDI program is played."""

    low: int
    high: int
    sustained: bool
    monophonic: bool
    weight: float
    """How often, relative to others."""


def _uses() -> dict[int, ProgramUse]:
    table: dict[int, ProgramUse] = {}

    def add(weight: float, sustained: bool, monophonic: bool, ranges: dict[int, tuple[int, int]]) -> None:
        for program, (low, high) in ranges.items():
            table[program] = ProgramUse(low=low, high=high, sustained=sustained, monophonic=monophonic, weight=weight)

    bowed = {40: (55, 94), 41: (48, 82), 42: (36, 76), 43: (28, 60), 110: (55, 90)}
    brass = {56: (54, 83), 57: (38, 71), 58: (28, 58), 59: (54, 81), 60: (38, 76)}
    reeds = {
        64: (56, 86),
        65: (48, 81),
        66: (43, 75),
        67: (36, 68),
        68: (58, 89),
        69: (52, 81),
        70: (34, 73),
        71: (50, 89),
    }
    pipes = {
        72: (74, 101),
        73: (60, 95),
        74: (60, 91),
        75: (58, 90),
        78: (72, 96),
        79: (60, 90),
        109: (50, 80),
        111: (58, 86),
    }
    add(3.0, True, True, bowed | brass | reeds | pipes)
    add(
        1.5,
        True,
        True,
        {
            22: (55, 90),
            52: (45, 80),
            53: (48, 80),
            54: (45, 80),
            80: (48, 90),
            81: (45, 90),
            82: (50, 90),
            85: (48, 80),
        },
    )
    add(
        1.2,
        True,
        False,
        {16: (36, 92), 17: (36, 92), 18: (36, 90), 19: (36, 92), 20: (40, 86), 21: (48, 86), 23: (50, 84)},
    )
    add(
        1.2,
        True,
        False,
        {
            44: (50, 90),
            48: (38, 88),
            49: (38, 88),
            50: (36, 86),
            61: (45, 80),
            88: (45, 85),
            89: (45, 85),
            91: (45, 85),
        },
    )
    add(
        1.2,
        False,
        False,
        {0: (26, 100), 1: (26, 100), 2: (28, 96), 3: (30, 96), 4: (34, 92), 5: (34, 92), 6: (34, 88), 7: (34, 86)},
    )
    add(1.2, False, False, {24: (40, 84), 25: (40, 86), 26: (40, 82), 27: (40, 84), 28: (40, 80), 46: (28, 96)})
    add(0.8, False, True, {29: (40, 80), 30: (40, 80), 45: (36, 88)})
    add(
        1.2,
        False,
        True,
        {
            32: (28, 58),
            33: (28, 58),
            34: (28, 58),
            35: (28, 60),
            36: (28, 58),
            37: (28, 58),
            38: (28, 58),
            39: (28, 58),
        },
    )
    add(
        0.7,
        False,
        False,
        {
            8: (60, 101),
            9: (72, 103),
            10: (58, 94),
            11: (53, 89),
            12: (46, 92),
            13: (65, 98),
            14: (58, 84),
            15: (55, 82),
        },
    )
    add(0.7, False, False, {104: (45, 80), 105: (46, 80), 106: (48, 80), 107: (45, 80), 108: (58, 86)})
    return table


PROGRAM_USES = _uses()
"""{program: how it is played}; programs whose notes have no one pitch are left out."""


def program_name(family: str, program: int) -> str:
    """A name of a program's sound that is its own among all families."""
    return f"{family} {program} {PROGRAMS[program]}"


def program_notes(soundfont: bytes, family: str, program: int, velocity: int) -> SampledInstrument:
    """The notes of a program that are in tune, one every three semitones of its range; at times there are none.

    Raises:
        MeloError: the synthesizer cannot play the soundfont.
    """
    use = PROGRAM_USES[program]
    pitches = list(range(use.low + (use.high - use.low) % _STEP // 2, use.high + 1, _STEP))
    sounds = _rendered(soundfont, pitches, velocity, 0, program)
    checked = [checked_note(sound, SAMPLE_RATE, pitch) for sound, pitch in zip(sounds, pitches, strict=True)]
    return SampledInstrument(
        name=program_name(family, program),
        family=family,
        rate=SAMPLE_RATE,
        notes=tuple(note for note in checked if isinstance(note, NoteSample)),
        sustained=use.sustained,
        monophonic=use.monophonic,
        dropped=tuple(
            f"pitch {pitch}: {note}" for note, pitch in zip(checked, pitches, strict=True) if isinstance(note, str)
        ),
    )


def drum_sounds(soundfont: bytes) -> dict[int, Samples]:
    """{drum's key: samples (n,) at 48 kHz} of the soundfont's drum kit; keys without sound are left out.

    Raises:
        MeloError: the synthesizer cannot play the soundfont.
    """
    sounds = _rendered(soundfont, DRUM_KEYS, 100, DRUM_CHANNEL, 0)
    return {key: sound for key, sound in zip(DRUM_KEYS, sounds, strict=True) if np.abs(sound).max() > 1e-3}


def _rendered(soundfont: bytes, pitches: Sequence[int], velocity: int, channel: int, program: int) -> list[Samples]:
    """Samples (n,) of each of these notes alone."""
    slot, lead, held = (round(seconds * SAMPLE_RATE / BLOCK) * BLOCK for seconds in (_SLOT_S, _LEAD_S, _HELD_S))
    messages: list[Timed] = [(0, 0, (CONTROLLER, number, 0, 0)) for number in (REVERB, CHORUS)]  # rooms come later
    messages.append((0, 0, (PROGRAM, program, 0, 0)))
    for i, pitch in enumerate(pitches):
        messages.append((i * slot + lead, 0, (NOTE_ON, pitch, velocity, 0)))
        messages.append((i * slot + held, 0, (NOTE_OFF, pitch, 0, 0)))
        messages.append(((i + 1) * slot - BLOCK, 0, (CONTROLLER, ALL_SOUND_OFF, 0, 0)))
    sound = synthesize(messages, {0: channel}, 0, len(pitches) * slot, soundfont).mean(1, dtype=np.float32)
    return [sound[i * slot : (i + 1) * slot] for i in range(len(pitches))]
