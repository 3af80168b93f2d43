"""Music with planted beats, as a performer would play it."""

import numpy as np

CHORDS = ((48, 64, 67, 72), (41, 65, 69, 72), (43, 62, 67, 71), (45, 64, 69, 72))


def played(bars, metre, period, *, eighths=2, first=0, seed=0):
    """Notes of bars of so many beats: a bass and a chord on each downbeat, chords on beats, a melody between them.

    Returns (onset, offset, pitch, velocity), the times of the beats, and which begin bars; `period(b)` seconds a beat, `first`
    the place in its bar of the first beat.
    """
    rng = np.random.default_rng(seed)
    count = bars * metre
    times = 0.3 + np.concatenate([[0.0], np.cumsum([period(b) for b in range(count)])])
    notes = []
    for b in range(count):
        place = (b + first) % metre
        chord = CHORDS[(b + first) // metre % len(CHORDS)]
        step = times[b + 1] - times[b]
        if place == 0:
            notes.append((times[b], times[b] + metre * step, chord[0] - 12, 80))
        notes += [(times[b], times[b] + 0.9 * step, p, 62) for p in chord[1 : 3 + (place == 0)]]
        notes += [
            (times[b] + k * step / eighths, times[b] + (k + 0.9) * step / eighths, 76 + int(rng.integers(0, 8)), 66)
            for k in range(eighths)
        ]
    onset, offset, pitch, velocity = (np.array(c, dtype=float) for c in zip(*notes, strict=True))
    onset += rng.normal(0, 0.008, len(onset))
    return (
        (np.maximum(onset, 0), offset, pitch.astype(int), velocity),
        times[:-1],
        (np.arange(count) + first) % metre == 0,
    )
