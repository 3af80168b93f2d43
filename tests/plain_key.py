"""The key of a piece by Krumhansl and Schmuckler's method: a reference that knows nothing of how notes are sampled."""

from itertools import product

import numpy as np

from meloctl.score.key import Key

KEYS = [Key(tonic=tonic, minor=minor) for tonic in range(12) for minor in (False, True)]


KRUMHANSL_KESSLER = {
    False: [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
    True: [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
}
"""How well each pitch class fits a key, as listeners rated it (Krumhansl and Kessler 1982), from the tonic up."""


def estimated_key(piece):
    """The key whose profile correlates best with how long each pitch class is held (Krumhansl and Schmuckler)."""
    pitched = np.array([not part.is_drum for part in piece.parts])[piece.notes.part]
    held = np.bincount(piece.notes.pitch[pitched] % 12, piece.notes.duration_tick[pitched], minlength=12)

    def fit(key):
        return np.corrcoef(np.roll(KRUMHANSL_KESSLER[key[1]], key[0]), held)[0, 1]

    tonic, minor = max(product(range(12), (False, True)), key=fit)
    return Key(tonic=tonic, minor=minor)
