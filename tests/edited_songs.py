"""Small songs for tests of edited MIDI files, from events at absolute ticks."""

import numpy as np
from conftest import signature, smf
from edited_files import ids_of, meta, random_row
from small_models import V

from meloctl.rows.vocabulary import DURATION, PITCH, POSITION, VELOCITY

FOUR = V.time_signatures.index("4/4")


def at(ticks):
    """Events at absolute ticks → a track of delta times."""
    ordered = sorted(ticks, key=lambda e: e[0])
    before = [0, *(tick for tick, _ in ordered)]
    return [(tick - then, data) for then, (tick, data) in zip(before, ordered, strict=False)]


def row(part, position, pitch, steps, velocity=80):
    """A note row."""
    made = random_row(np.random.default_rng(0), part, FOUR)
    made[POSITION], made[PITCH], made[DURATION] = position, pitch, V.durations.index(steps)
    made[VELOCITY] = V.velocities.index(velocity)
    return made


def part_of(data, program):
    """The part of a program."""
    return next(i for i in ids_of(data) if V.program_of(i[0]) == (program, False))


def hold(channel, tick, end, pitch, velocity=80):
    return [(tick, bytes([0x90 | channel, pitch, velocity])), (end, bytes([0x80 | channel, pitch, 64]))]


def bass(channel=2, bars=8, program=33):
    """A bass with a whole note a bar."""
    events = [(0, bytes([0xC0 | channel, program]))]
    for bar in range(bars):
        events += hold(channel, 1920 * bar, 1920 * bar + 1900, 39)
    return at(events)


def loop():
    """Eight bars, of which the last has no note; End of Track stands at its end in both tracks."""
    tracks = []
    for channel in (0, 1):
        events = [(0, bytes([0xC0 | channel, 33 * channel]))]
        for step in range(25):
            events += hold(channel, 480 * step, 480 * step + 480, 40 + step)
        track = at(events)
        track.append((8 * 1920 - 25 * 480, meta(1, b"")))  # holds End of Track there
        tracks.append(track)
    return smf([signature(4, 2)], *tracks)
