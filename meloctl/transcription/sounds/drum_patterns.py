"""Drum tracks drawn at random from single drum sounds: sound in which a network must find no notes."""

import numpy as np

from meloctl.transcription.sounds.note_samples import Samples

_BASS, _SNARE, _HATS = (35, 36), (37, 38, 39, 40), (42, 44, 46, 51, 53, 54, 59)
_TOMS_AND_CRASHES = (41, 43, 45, 47, 48, 49, 50, 57, 56)


def drum_track(sounds: dict[int, Samples], rate: int, rng: np.random.Generator, seconds: float) -> Samples:
    """A track (n,) at `rate`: a bar of sixteen steps, repeated with fills.

    Args:
        sounds: {General MIDI key: samples (m,) at `rate`}, at least one.
        rate: samples a second.
        rng: of everything that is drawn.
        seconds: how long it is.
    """
    step = rng.uniform(0.09, 0.2)
    groups = [
        [key for key in keys if key in sounds] or list(sounds) for keys in (_BASS, _SNARE, _HATS, _TOMS_AND_CRASHES)
    ]
    keys = [int(rng.choice(group)) for group in groups]
    chance = np.array([rng.uniform(0.1, 0.35), rng.uniform(0.05, 0.2), rng.choice([0.25, 0.5, 0.9]), 0.04])
    pattern = rng.random((4, 16)) < chance[:, None]
    pattern[0, 0] = pattern[1, 4] = pattern[1, 12] = True
    track = np.zeros(round(seconds * rate), np.float32)
    for number in range(int(seconds / step)):
        row = pattern if rng.random() > 0.08 else rng.random((4, 16)) < 0.35
        for voice in np.flatnonzero(row[:, number % 16]):
            begin = round((number * step + rng.normal(0, 0.003)) * rate)
            sound = sounds[keys[voice] if voice < 3 else int(rng.choice(groups[3]))][
                : max(0, len(track) - max(begin, 0))
            ]
            if begin >= 0 and len(sound):
                track[begin : begin + len(sound)] += sound * np.float32(10 ** (rng.uniform(-9, 0) / 20))
    return track
