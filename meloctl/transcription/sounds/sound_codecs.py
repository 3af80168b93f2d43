"""Sound as it comes back out of a lossy codec at a low quality, in its place in time."""

import io

import numpy as np

from meloctl.transcription.sounds.note_samples import Samples

CODECS = (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS"))
"""libsndfile's formats and subtypes."""

_OPUS_RATE = 24_000
_MOST_LAG = 3000
"""Samples by which a codec may delay."""


def coded(samples: Samples, rate: int, rng: np.random.Generator) -> Samples:
    """The samples (n,) after a codec drawn at random, as long as before and not delayed."""
    import soundfile
    import soxr

    kind, subtype = CODECS[int(rng.integers(len(CODECS)))]
    coded_rate = _OPUS_RATE if subtype == "OPUS" else rate
    sound = soxr.resample(samples, rate, coded_rate) if coded_rate != rate else samples
    peak = float(np.abs(sound).max()) + 1e-9
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", coded_rate, 1, format=kind, subtype=subtype, compression_level=float(rng.uniform(0.5, 0.98))
    ) as file:
        for start in range(0, len(sound), 1 << 14):  # libsndfile's Vorbis encoder overflows its stack on long blocks
            file.write(sound[start : start + (1 << 14)] / peak * 0.9)
    buffer.seek(0)
    back = soundfile.read(buffer, dtype="float32")[0] * np.float32(peak / 0.9)
    if coded_rate != rate:
        back = soxr.resample(back, coded_rate, rate)
    return _in_place(back, samples)


def _in_place(delayed: Samples, samples: Samples) -> Samples:
    """`delayed` moved to where it agrees best with `samples` (n,), as long as that."""
    size = 1 << (len(samples) + _MOST_LAG).bit_length()
    product = np.fft.irfft(np.fft.rfft(delayed, size) * np.conj(np.fft.rfft(samples, size)), size)
    lag = int(np.argmax(np.append(product[-_MOST_LAG:], product[:_MOST_LAG]))) - _MOST_LAG
    moved = delayed[lag:] if lag >= 0 else np.pad(delayed, (-lag, 0))
    return np.pad(moved, (0, max(0, len(samples) - len(moved))))[: len(samples)].astype(np.float32)
