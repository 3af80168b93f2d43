"""Tracks and MIDI files from (onset tick, duration, pitch)."""

from conftest import signature, smf


def track(notes, *, program=0, channel=0, signatures=()):
    """One track of (onset tick, duration, pitch); a note that ends and one that starts at one tick do so in that order."""
    events = [(0, 1, bytes([0xC0 | channel, program]))]
    for tick, numerator, denominator_power in signatures:
        events.append((tick, 0, signature(numerator, denominator_power)[1]))
    for onset, duration, pitch in notes:
        events.append((onset, 3, bytes([0x90 | channel, pitch, 64])))
        events.append((onset + duration, 2 if duration else 4, bytes([0x80 | channel, pitch, 0])))
    events.sort(key=lambda event: event[:2])
    ticks = [0, *(tick for tick, _, _ in events)]
    return [(tick - before, data) for before, (tick, _, data) in zip(ticks, events, strict=False)]


def write_tracks(folder, *tracks, division=12):
    """A new file of these tracks; its path."""
    path = folder / f"{len(list(folder.iterdir()))}.mid"
    path.write_bytes(smf(*tracks, division=division))
    return path


def one_part(*pitches):
    """A track with one note a bar, None for an empty bar."""
    return track([(48 * bar, 4, pitch) for bar, pitch in enumerate(pitches) if pitch is not None])
