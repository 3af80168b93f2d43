"""Single notes of real instruments in a packed npm package `tonejs-instrument-NAME-mp3`: a file a note, named like As4.mp3."""

import io
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.errors import MeloError
from meloctl.transcription.sounds.note_samples import NoteSample, SampledInstrument, Samples, checked_note

_NOTE = re.compile(r"(?:^|/)([A-G])(s?)(-?\d)\.mp3$")
_SEMITONE = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_PACKAGE = re.compile(r"tonejs-instrument-([a-z-]+?)-mp3-[\w.]+\.tgz$")

_MOST_BYTES = 4 << 20
"""Of one file of a pack."""

_MOST_FILES = 300
_LONGEST_S = 8.0
"""Of a note; what follows is left out."""

RATE = 44_100

_MONOPHONIC = {"bass-electric", "bassoon", "cello", "clarinet", "contrabass", "flute", "french-horn", "saxophone"}
_MONOPHONIC |= {"trombone", "trumpet", "tuba", "violin"}
_SUSTAINED = (_MONOPHONIC - {"bass-electric"}) | {"harmonium", "organ"}


@dataclass(frozen=True, kw_only=True)
class SamplePack:
    """A pack that lies on disk."""

    instrument: str
    """As in the package's name: "french-horn"."""

    path: Path


def find_packs(folder: Path) -> list[SamplePack]:
    """The packs in a folder, by name."""
    found = {match[1]: path for path in sorted(folder.glob("*.tgz")) if (match := _PACKAGE.search(path.name))}
    return [SamplePack(instrument=name, path=path) for name, path in found.items()]


def sustains(pack: SamplePack) -> bool:
    """Whether the instrument sounds as long as it is played."""
    return pack.instrument in _SUSTAINED


def pack_notes(pack: SamplePack) -> SampledInstrument:
    """The notes of a pack that are in tune.

    Raises:
        MeloError: it is no readable archive, or holds no note.
    """
    notes, dropped = [], []
    for pitch, data in sorted(_note_files(pack.path)):
        note = checked_note(_decoded(data, pack.path), RATE, pitch)
        if isinstance(note, NoteSample):
            notes.append(note)
        else:
            dropped.append(f"pitch {pitch}: {note}")
    return SampledInstrument(
        name=f"pack {pack.instrument}",
        family="packs",
        rate=RATE,
        notes=tuple(notes),
        sustained=sustains(pack),
        monophonic=pack.instrument in _MONOPHONIC,
        dropped=tuple(dropped),
    )


def _note_files(path: Path) -> list[tuple[int, bytes]]:
    """(MIDI pitch, bytes of the MP3 file) of each note in a packed npm package."""
    found: list[tuple[int, bytes]] = []
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                match = _NOTE.search(member.name)
                if match and member.isfile() and member.size <= _MOST_BYTES and len(found) < _MOST_FILES:
                    file = archive.extractfile(member)
                    pitch = 12 * (int(match[3]) + 1) + _SEMITONE[match[1]] + len(match[2])
                    found.append((pitch, file.read() if file else b""))
    except (OSError, tarfile.TarError, EOFError, ValueError) as error:
        raise MeloError(f"{path}: not a sample pack: {' '.join(str(error).split())}; fetch it again") from error
    if not found:
        raise MeloError(f"{path}: holds no notes named like A4.mp3")
    return found


def _decoded(data: bytes, path: Path) -> Samples:
    """Mono samples (n,) at `RATE` of an MP3 file."""
    import soundfile
    import soxr

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate = file.samplerate
            sound = file.read(round(_LONGEST_S * rate), dtype="float32", always_2d=True).mean(1)
    except soundfile.SoundFileError as error:
        raise MeloError(f"{path}: a note cannot be decoded: {error}") from error
    return np.asarray(sound if rate == RATE else soxr.resample(sound, rate, RATE), dtype=np.float32)
