"""How alike two cells are: one function a measure, each 0 (nothing shared) to 1 (equal)."""

import numpy as np
import numpy.typing as npt

_ONES = np.array([i.bit_count() for i in range(1 << 12)], dtype=np.float64)


def pc_jaccard(a: npt.NDArray[np.uint16], b: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    """Are the same pitch classes struck?  |a ∩ b| / |a ∪ b|.

    The founding diary's "PitchClass similarity": sets of the pitch classes of the notes that start in each bar.

    Args:
        a, b: pitch-class sets as 12-bit masks, of shapes that broadcast.

    Returns:
        Similarity in 0..1, of the broadcast shape. Two empty sets give 0; empty cells are no cells and are not compared.
    """
    union = np.maximum(_ONES[a | b], 1)
    return np.asarray(_ONES[a & b] / union, dtype=np.float64)
