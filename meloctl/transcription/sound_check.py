"""Whether a transcription is one of music: silence is refused, speech and noise are named."""

import numpy as np

from analysis.errors import MeloError
from meloctl.formatting import whole
from meloctl.transcription.transcription import Transcription

SILENT_DB = -80.0
"""Sound whose loudest sample lies below this level holds no music."""


def check_sound(transcription: Transcription) -> None:
    """Raises MeloError, which says why, where a recording holds no music."""
    peak = transcription.peak_db
    if peak < SILENT_DB:
        level = f"peak {whole(peak)} dB" if np.isfinite(peak) else "every sample is 0"
        raise MeloError(f"no music found: the file is silent ({level})")
    if not len(transcription.notes):
        raise MeloError(
            f"no music found: no note stands out of the sound (peak {whole(peak)} dB); speech and noise have none"
        )
