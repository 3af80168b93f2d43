"""Single notes in Gravis Ultrasound patches, a file a General MIDI program (Debian's package freepats)."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.errors import MeloError
from meloctl.rows.general_midi import PROGRAMS
from meloctl.transcription.sounds.note_samples import NoteSample, SampledInstrument, Samples, checked_note
from meloctl.transcription.sounds.program_uses import PROGRAM_USES

RATE = 44_100

_FILE = re.compile(r"^(\d{3})_.*\.pat$")
_MOST_BYTES = 64 << 20
_HEADER, _INSTRUMENT, _LAYER = 129, 63, 47
"""Bytes of the headers that the samples follow."""

_SAMPLE = struct.Struct("<7s B 3I H 3I h B 6B 6B 3B 3B B H H 36x")
"""name, fractions, bytes, loop start, loop end, rate, lowest, highest and root frequency in millihertz, tune, balance, envelope
rates and offsets, tremolo, vibrato, modes, scale frequency, scale factor."""

_SIXTEEN_BITS, _UNSIGNED, _LOOPED = 1, 2, 4
"""Bits of `modes`."""

_LENGTH_S = 2.5
"""What a loop is repeated to."""


@dataclass(frozen=True, kw_only=True)
class PatchFile:
    """A patch that lies on disk."""

    program: int
    path: Path


def find_patches(folder: Path) -> list[PatchFile]:
    """The patches in a folder whose programs have a pitch, by program."""
    found = [
        PatchFile(program=int(match[1]), path=path)
        for path in sorted(folder.glob("*.pat"))
        if (match := _FILE.match(path.name))
    ]
    return [patch for patch in found if patch.program in PROGRAM_USES]


def patch_notes(patch: PatchFile) -> SampledInstrument:
    """The samples of a patch that are in tune at the pitch nearest to their own.

    Raises:
        MeloError: the file cannot be read, or is no patch.
    """
    use = PROGRAM_USES[patch.program]
    notes, dropped = [], []
    for pitch, samples in sorted(_samples(patch.path), key=lambda sample: sample[0]):
        note = checked_note(samples, RATE, pitch)
        if isinstance(note, NoteSample):
            notes.append(note)
        else:
            dropped.append(f"pitch {pitch}: {note}")
    return SampledInstrument(
        name=f"freepats {patch.program} {PROGRAMS[patch.program]}",
        family="freepats",
        rate=RATE,
        notes=tuple(notes),
        sustained=use.sustained,
        monophonic=use.monophonic,
        dropped=tuple(dropped),
    )


def _samples(path: Path) -> list[tuple[int, Samples]]:
    """(MIDI pitch, samples (n,) at `RATE`) of each sample of a patch, tuned to that pitch."""
    import soxr

    try:
        if path.stat().st_size > _MOST_BYTES:
            raise MeloError(f"{path}: larger than a patch can be")
        data = path.read_bytes()
        if not data.startswith(b"GF1PATCH"):
            raise MeloError(f"{path}: not a Gravis Ultrasound patch")
        count = data[_HEADER + _INSTRUMENT + 6]
        place, found = _HEADER + _INSTRUMENT + _LAYER, []
        for _ in range(count):
            fields = _SAMPLE.unpack_from(data, place)
            size, loop, rate, root, modes = fields[2], fields[3:5], fields[5], fields[8], fields[-3]
            raw = data[place + _SAMPLE.size : place + _SAMPLE.size + size]
            place += _SAMPLE.size + size
            if not root or not rate or len(raw) < 512:
                continue
            exact = 69 + 12 * np.log2(root / 440_000)
            pitch = round(exact)
            tuned = rate * 2 ** ((pitch - exact) / 12)
            if 0 <= pitch < 128:
                found.append((pitch, soxr.resample(_unrolled(raw, loop, modes, rate), tuned, RATE)))
    except (OSError, struct.error, IndexError) as error:
        raise MeloError(f"{path}: a damaged patch: {' '.join(str(error).split())}") from error
    return found


def _unrolled(raw: bytes, loop: tuple[int, int], modes: int, rate: int) -> Samples:
    """Samples (n,) with the loop, given in bytes, repeated for `_LENGTH_S`."""
    width = 2 if modes & _SIXTEEN_BITS else 1
    kind = f"{'u' if modes & _UNSIGNED else 'i'}{width}"
    values = np.frombuffer(raw[: len(raw) // width * width], f"<{kind}").astype(np.float32)
    values = values / np.float32(1 << (8 * width - 1)) - (1 if modes & _UNSIGNED else 0)
    start, end = loop[0] // width, min(loop[1] // width, len(values))
    if not modes & _LOOPED or end - start < 8:
        return values
    repeats = max(1, -(-(round(_LENGTH_S * rate) - start) // (end - start)))
    return np.concatenate([values[:start], np.tile(values[start:end], repeats)])
