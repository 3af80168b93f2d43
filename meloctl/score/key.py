"""Musical keys: their names, their pitches, and weights of pitches that keep new notes in a key.

Policy: new notes keep to the key's scale (in minor the raised sixth and seventh stand beside the natural ones), in the first and
in the last new bar to the tonic chord. Pitch classes that sounded less than music in the key has of them become likelier, which
settles the tonic: the scale alone is that of the relative key as well. Drums have no key.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.arrays import Bools, Floats
from analysis.errors import MeloError

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}
_MAJOR, _MINOR = ("major", "maj", "dur", "大调"), ("minor", "min", "moll", "小调")
_NAME = re.compile(rf"([a-g])[\s-]*(sharp|flat|(?-i:[#♯b♭]))?[\s-]*({'|'.join((*_MAJOR, *_MINOR))}|(?-i:[Mm]))?", re.I)

_SHARES = {
    False: np.array([22, 0, 12, 0, 15, 10, 0, 20, 0, 10, 0, 7]) / 96,
    True: np.array([22, 0, 10, 15, 0, 11, 0, 19, 8, 2, 5, 8]) / 100,
}
"""Of its sounding time, how much music in a key gives each pitch class from the tonic up; by whether it is minor.

Bach's chorales, by the bass note that each ends on, with less outside the scale and a little more on the tonic; in minor the
raised seventh and the natural one have changed places, since that is what tells a minor key from its relative.
"""

PRIOR_QUARTERS = 8.0
"""Quarters of music in the key that are assumed before a piece (a prior), so that its first notes do not weigh too much."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A major or a minor key."""

    tonic: int
    """Pitch class, 0 = C."""

    minor: bool

    @cached_property
    def scale(self) -> Bools:
        """(128,) which pitches belong to its scale: seven pitch classes, in minor nine."""
        return self._pitches((0, 2, 3, 5, 7, 8, 9, 10, 11) if self.minor else (0, 2, 4, 5, 7, 9, 11))

    @cached_property
    def chord(self) -> Bools:
        """(128,) which pitches belong to its tonic chord."""
        return self._pitches((0, 3, 7) if self.minor else (0, 4, 7))

    @cached_property
    def shares(self) -> Floats:
        """(12,) of its sounding time, how much music in the key gives each pitch class, from C up."""
        return np.roll(_SHARES[self.minor], self.tonic)

    def _pitches(self, steps: tuple[int, ...]) -> Bools:
        """(128,) which pitches are one of these numbers of semitones above a tonic."""
        return np.isin((np.arange(128) - self.tonic) % 12, steps)


def parse_key(text: str) -> Key:
    """The key of a name: "C major", "a minor", "F# minor", "Bb", "Am", "ebm", "E-flat major", "c moll".

    A capital letter alone is a major key; a small one alone could be either and is refused.

    Raises:
        MeloError: no such key.
    """
    found = _NAME.fullmatch(text.strip())
    if not found:
        raise MeloError(
            "no such key; give a letter from A to G, # or b, and major or minor, as in 'F# minor', Bb or Am",
            field="key",
            given=text,
        )
    letter, accidental, mode = (group or "" for group in found.groups())
    if not mode and letter.islower():
        name = letter.upper() + accidental
        raise MeloError(
            f"major or minor? give {name} for the major key or {name}m for the minor one", field="key", given=text
        )
    minor = mode == "m" or mode.lower() in _MINOR
    return Key(tonic=(_LETTERS[letter.upper()] + _ACCIDENTALS[accidental.lower()]) % 12, minor=minor)
