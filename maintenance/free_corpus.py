"""The corpus of the default weights: freely licensed music alone, a folder a set, gathered into one folder.

    python maintenance/free_corpus.py DATA OUT

DATA holds `band`, `quartets` and `lieder` as docs/experiments.md describes them; Bach's chorales come out of the installed
music21, composed pieces from `meloctl corpus compose`. OUT becomes a corpus for `meloctl stats`, with SOURCES.json: what each
set is, its licence, how many files it has and a hash over their bytes. What is there already is not copied again.
"""

import hashlib
import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from analysis.atomic_write import atomic_write_text
from meloctl.corpus.chorales import chorale_paths, write_chorales
from meloctl.corpus.composer.compose import compose_corpus

METERS = {(4, 4): 60, (3, 4): 20, (6, 8): 20}
"""Composed pieces by time signature: few, so that the band's one way of playing does not become the model's."""


@dataclass(frozen=True, kw_only=True)
class FreeSet:
    """One set of the corpus: where it comes from, and on which terms."""

    name: str
    """The folder of the set in the corpus."""

    source: str
    licence: str
    credit: str

    pattern: str = ""
    """Files under DATA; empty where they are made here."""


SETS = (
    FreeSet(
        name="freedoom",
        source="Freedoom, musics/ (https://github.com/freedoom/freedoom)",
        licence="BSD-3-Clause",
        credit="Copyright © 2001-2024 Contributors to the Freedoom project; composers in its CREDITS-MUSIC",
        pattern="band/freedoom-*.mid",
    ),
    FreeSet(
        name="easyrpg",
        source="EasyRPG RTP, music/ (https://github.com/EasyRPG/RTP)",
        licence="CC-BY-4.0",
        credit="EasyRPG RTP contributors; composers in its AUTHORS.md",
        pattern="band/easyrpg-*.mid",
    ),
    FreeSet(
        name="quartets",
        source="OpenScore String Quartets (https://github.com/OpenScore/StringQuartets)",
        licence="CC0-1.0",
        credit="OpenScore",
        pattern="quartets/*.mid",
    ),
    FreeSet(
        name="lieder",
        source="OpenScore Lieder (https://github.com/OpenScore/Lieder)",
        licence="CC0-1.0",
        credit="OpenScore",
        pattern="lieder/*.mid",
    ),
    FreeSet(
        name="chorales",
        source="Bach's four-part chorales, from the corpus of music21 (https://github.com/cuthbertLab/music21)",
        licence="public domain music; encodings distributed with music21 (BSD-3-Clause)",
        credit="Johann Sebastian Bach; encoded by Margaret Greentree and others for music21",
    ),
    FreeSet(
        name="composed",
        source="meloctl corpus compose",
        licence="MIT",
        credit="composed by this program",
    ),
)


def gather(data: Path, out: Path) -> None:
    """Fill a folder with the sets, and write its SOURCES.json."""
    for each in SETS:
        folder = out / each.name
        if each.pattern:
            _copy(sorted(data.glob(each.pattern)), folder)
        elif each.name == "chorales":
            if not folder.is_dir():
                write_chorales(folder, paths=chorale_paths())
        else:
            for (beats, unit), pieces in METERS.items():
                compose_corpus(folder / f"{beats}-{unit}", pieces=pieces, seed=0, meter=(beats, unit))
    facts = {each.name: asdict(each) | files_of(out / each.name) for each in SETS}
    atomic_write_text(out / "SOURCES.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    for name, fact in facts.items():
        print(f"{name:10}{fact['files']:5} files  {fact['licence']}")


def _copy(paths: list[Path], folder: Path) -> None:
    if not paths:
        raise SystemExit(f"error: no files for {folder.name}: is DATA the folder that holds band, quartets and lieder?")
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        if not (folder / path.name).is_file():
            shutil.copyfile(path, folder / path.name)


def files_of(folder: Path) -> dict[str, int | str]:
    """Number of MIDI files of a set, and one SHA-256 over their names and bytes."""
    whole, count = hashlib.sha256(), 0
    for path in sorted(folder.rglob("*.mid")):
        whole.update(path.relative_to(folder).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
        count += 1
    return {"files": count, "sha256": whole.hexdigest()}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    gather(Path(sys.argv[1]), Path(sys.argv[2]))
