"""Single notes of a soundfont's programs, rendered one after the other."""

from collections.abc import Sequence

import numpy as np

from meloctl.rows.general_midi import PROGRAMS
from meloctl.score.performance import ALL_SOUND_OFF, CHORUS, CONTROLLER, NOTE_OFF, NOTE_ON, PROGRAM, REVERB
from meloctl.score.synthesizer import BLOCK, DRUM_CHANNEL, SAMPLE_RATE, Timed, synthesize
from meloctl.transcription.sounds.note_samples import NoteSample, SampledInstrument, Samples, checked_note
from meloctl.transcription.sounds.program_uses import PROGRAM_USES

_STEP = 3
"""Semitones between the notes that are rendered."""

_HELD_S, _SLOT_S = 2.5, 3.0
_LEAD_S = 0.05

DRUM_KEYS = (35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 53, 54, 56, 57, 59)
"""General MIDI drums that patterns are made of."""


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
