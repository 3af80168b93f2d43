"""An instrument's notes played by a line: pitch and loudness curves of each note, joined, looped and let fade; with labels that
are measured on each note's own sound."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from meloctl.transcription.notes import NoteTable
from meloctl.transcription.sounds.note_samples import NoteSample, SampledInstrument, Samples, level_db, onset_sample
from meloctl.transcription.sounds.training_music import Floats, Line

RATE = 44_100
"""Samples a second that are computed."""

OFFSET_DB = -20.0
"""A note ends, for its label, where its level falls this far below what it was in the tenth of a second before its release …"""

FADED_DB = -32.0
"""… or this far below its loudest, if that is sooner: a struck string has faded before its key is let go."""

_CONTROL = 32
"""Samples between values of a curve."""

_LEVEL_HOP = round(0.0025 * RATE)
_UNSTEADY_S = 0.12
"""Between the knots of a level that is not steady."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How one stem is played; drawn once a stem."""

    detune: float
    """Cents, of all notes."""

    note_detune: float
    """Cents, standard deviation between notes."""

    vibrato_cents: float
    vibrato_hz: float
    vibrato_delay_s: float
    tremolo_db: float
    scoop_share: float
    """Of notes that begin off their pitch and slide into it."""

    scoop_cents: float
    glide_share: float
    """Of notes that come from the pitch before."""

    attack_s: float
    """How long a note's own rise takes in addition to its sample's."""

    lead_s: float
    """Of a sample's sound before its onset, at most this is kept."""

    release_s: float
    joined: float
    """Share of notes that touch whose attack is skipped: legato."""

    swell_db: tuple[float, float, float]
    """Loudness at the beginning, middle and end of a long note, relative to its level."""

    note_db: float
    """Standard deviation of level between notes."""

    phrase_db: float
    """Standard deviation of the level's slow course."""

    drift_cents: float
    """Standard deviation of the pitch at a note's beginning and end."""

    unsteady_db: float
    """Standard deviation of the level's course within a note."""


def drawn_style(instrument: SampledInstrument, rng: np.random.Generator) -> Style:
    """A style that suits an instrument: struck and plucked ones have no swell, and little vibrato."""
    blown = instrument.sustained and instrument.monophonic
    expressive = instrument.sustained and rng.random() < 0.6

    def at(chance: float, low: float, high: float) -> float:
        return float(rng.uniform(low, high)) if rng.random() < chance else 0.0

    return Style(
        detune=float(np.clip(rng.normal(0, 11 if rng.random() < 0.85 else 20), -35, 35)),
        note_detune=rng.uniform(0, 7) if blown else rng.uniform(0, 2),
        vibrato_cents=at(0.6 if blown else 0.08, 5, 45 if blown else 20),
        vibrato_hz=rng.uniform(4.2, 7.0),
        vibrato_delay_s=rng.choice([0.0, rng.uniform(0.05, 0.4)]),
        tremolo_db=at(0.3 if instrument.sustained else 0.05, 0.5, 5),
        scoop_share=at(0.3 if blown else 0.03, 0.1, 0.7),
        scoop_cents=rng.uniform(15, 80),
        glide_share=at(0.2 if blown else 0.0, 0.1, 0.6),
        attack_s=at(0.45 if instrument.sustained else 0.0, 0.01, 0.12),
        lead_s=rng.uniform(0.01, 0.12),
        release_s=rng.uniform(0.02, 0.15) if rng.random() < 0.85 else rng.uniform(0.15, 0.5),
        joined=at(0.5 if blown else 0.0, 0.5, 1.0),
        swell_db=tuple((rng.normal(0, 2.5, 3) - rng.choice([0.0, 3.0])).tolist()) if expressive else (0.0, 0.0, 0.0),
        note_db=rng.uniform(0.3, 2.5),
        phrase_db=rng.uniform(0, 3),
        drift_cents=at(0.6 if blown else 0.0, 1, 9),
        unsteady_db=at(0.6 if blown else 0.0, 0.2, 1.5),
    )


def play(
    line: Line, instrument: SampledInstrument, style: Style, rng: np.random.Generator, seconds: float
) -> tuple[Samples, NoteTable]:
    """The sound (n,) of a line at `RATE`, and its notes as they sound: onset by `ONSET_DB`, offset by `OFFSET_DB`."""
    count = round(seconds * RATE)
    sound = np.zeros(count, np.float32)
    course = rng.normal(0, style.phrase_db, int(seconds / 2) + 2)
    labels: list[tuple[float, float, int, float]] = []
    previous, last_offset = -1, -1.0
    for onset, offset, pitch, following in zip(
        line.onset, line.offset, line.pitch, np.append(line.onset[1:], np.inf), strict=True
    ):
        touches = previous >= 0 and onset - last_offset < 0.04
        note = _Note(
            onset=float(onset),
            offset=float(offset),
            pitch=int(pitch),
            before=previous if touches else None,
            followed=bool(following - offset < 0.03),
            gain_db=float(np.interp(onset, np.arange(len(course)) * 2.0, course) + rng.normal(0, style.note_db)),
        )
        begin, own = _note_sound(note, instrument, style, rng)
        previous, last_offset = int(pitch), float(offset)
        if begin < 0:
            own, begin = own[-begin:], 0
        own = own[: count - begin]
        if len(own) < RATE // 40:
            continue
        sound[begin : begin + len(own)] += own
        labels.append(
            (
                *_sounding(own, begin, float(offset)),
                int(pitch),
                float(20 * np.log10(np.sqrt(np.square(own).mean()) + 1e-9)),
            )
        )
    return sound, _table(labels)


def _table(labels: Sequence[tuple[float, float, int, float]]) -> NoteTable:
    onset, offset, pitch, loudness = (
        (np.array(column) for column in zip(*labels, strict=True)) if labels else [np.zeros(0)] * 4
    )
    return NoteTable.of(onset, offset, pitch, loudness=loudness)


@dataclass(frozen=True, kw_only=True)
class _Note:
    onset: float
    offset: float
    pitch: int
    before: int | None
    """The pitch that this note is joined to."""

    followed: bool
    """Another note begins where it ends."""

    gain_db: float


def _note_sound(
    note: _Note, instrument: SampledInstrument, style: Style, rng: np.random.Generator
) -> tuple[int, Samples]:
    """(first sample, at times below 0; samples (n,)) of one note at `RATE`."""
    source = _sample_for(note.pitch, instrument, rng)
    legato = note.before is not None and rng.random() < style.joined
    lead = min(source.onset / instrument.rate, style.lead_s)
    skip = min(rng.uniform(0.02, 0.1), 0.3 * len(source.samples) / instrument.rate) if legato else 0.0
    release = min(style.release_s, 0.05) if note.followed and instrument.monophonic else style.release_s
    lead = 0.0 if legato else lead
    points = np.arange(-lead, note.offset - note.onset + release, _CONTROL / RATE)  # seconds from the onset
    cents = _cents(points, note, style, legato, rng)
    ratio = 2 ** ((note.pitch - source.pitch) / 12 + cents / 1200) * instrument.rate / RATE
    first = source.onset + (skip - lead) * instrument.rate
    place = first + np.append(0, np.cumsum(ratio[:-1] * _CONTROL))
    samples = source.samples
    if instrument.sustained and place[-1] + 2 * ratio[-1] * _CONTROL > len(samples):
        samples = _extended(samples, source.onset, instrument.rate, int(place[-1] + 2 * _CONTROL * ratio[-1]) + 2)
    gain = 10 ** ((_swell_db(points, note, style, rng) + note.gain_db) / 20)
    gain *= _attack(points, lead, style, legato, rng) * _release(points, note.offset - note.onset, release)
    sound = _read(samples, place, gain)
    return round((note.onset - lead) * RATE), sound


def _sample_for(pitch: int, instrument: SampledInstrument, rng: np.random.Generator) -> NoteSample:
    """One of the nearest samples, at times the second nearest."""
    distance = np.array([abs(sample.pitch - pitch) for sample in instrument.notes]) + rng.uniform(
        0, 1.5, len(instrument.notes)
    )
    return instrument.notes[int(distance.argmin())]


def _cents(points: Floats, note: _Note, style: Style, legato: bool, rng: np.random.Generator) -> Floats:
    """(P,) cents from the note's pitch at each point in seconds from its onset."""
    cents = np.full(len(points), style.detune + rng.normal(0, style.note_detune))
    if style.drift_cents:
        cents += np.interp(points, [0, note.offset - note.onset], rng.normal(0, style.drift_cents, 2))
    if style.vibrato_cents:
        depth = style.vibrato_cents * rng.uniform(0.6, 1.2) * np.clip((points - style.vibrato_delay_s) / 0.2, 0, 1)
        rate = style.vibrato_hz * rng.uniform(0.93, 1.07)
        cents += depth * np.sin(2 * np.pi * rate * points + rng.uniform(0, 2 * np.pi))
    if legato and note.before is not None and rng.random() < style.glide_share:
        far = np.clip(100.0 * (note.before - note.pitch), -400, 400)
        cents += far * np.clip(1 - points / rng.uniform(0.03, 0.1), 0, 1)
    elif rng.random() < style.scoop_share:
        cents -= (
            style.scoop_cents * rng.choice([1, 1, 1, -1]) * np.exp(-np.maximum(points, 0) / rng.uniform(0.02, 0.06))
        )
    return cents


def _swell_db(points: Floats, note: _Note, style: Style, rng: np.random.Generator) -> Floats:
    """(P,) dB of a note's own course: swell in long notes, tremolo."""
    length = max(note.offset - note.onset, 1e-3)
    course = np.interp(points / length, [0, 0.5, 1], style.swell_db) * min(1, length / 0.4)
    if style.unsteady_db:
        knots = rng.normal(0, style.unsteady_db, int(length / _UNSTEADY_S) + 3)
        course = course + np.interp(points, np.arange(len(knots)) * _UNSTEADY_S, knots)
    if style.tremolo_db:
        course = course - style.tremolo_db * (
            0.5 + 0.5 * np.sin(2 * np.pi * style.vibrato_hz * points + rng.uniform(0, 6))
        )
    return course


def _attack(points: Floats, lead: float, style: Style, legato: bool, rng: np.random.Generator) -> Floats:
    """(P,) the factor that a note rises by."""
    if legato:
        return np.clip((points + 1e-3) / rng.uniform(0.01, 0.04), 0, 1)
    edge = np.clip((points + lead + 1e-3) / min(0.006, lead + 2e-3), 0, 1)
    if not style.attack_s:
        return edge
    rise = style.attack_s * rng.uniform(0.5, 1.2)
    return edge * np.clip((points + min(lead, 0.02)) / rise, 0.02, 1) ** 1.3


def _release(points: Floats, length: float, release: float) -> Floats:
    """(P,) the factor that a note fades by once it is let go."""
    since = np.clip((points - length) / release, 0, 1)
    return (0.5 + 0.5 * np.cos(np.pi * since)) * np.exp(-3 * since)


def _extended(samples: Samples, onset: int, rate: float, needed: int) -> Samples:
    """Samples made at least `needed` long by repeating the steady part, each repetition faded into the next where the two
    agree best."""
    fade = round(rate / 20)
    usable = len(samples) - round(rate / 25)
    start = onset + (usable - onset) // 3
    if usable - start < 4 * fade:
        return np.pad(samples, (0, max(0, needed - len(samples))))
    pattern = samples[usable - fade : usable]
    search = samples[start : start + min(fade * 2, (usable - start) // 2)]
    match = np.correlate(search, pattern[: fade // 2], "valid") if len(search) > fade // 2 else np.zeros(1)
    start += int(match.argmax())
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    loop = samples[start:usable].copy()  # its end is faded into what stood before its beginning
    body = loop[fade:]
    seam = loop[-fade:] * (1 - ramp) + loop[:fade] * ramp
    period = np.concatenate([body[:-fade], seam])
    head = samples[: start + fade]
    repeats = -(-max(0, needed - len(head)) // len(period))
    return np.concatenate([head, np.tile(period, max(repeats, 1))])


def _read(samples: Samples, place: Floats, gain: Floats) -> Samples:
    """Sound (n,) read from samples at places (P,), `_CONTROL` samples apart, linearly between them, times gains (P,)."""
    inside = int(np.searchsorted(place, len(samples) - 2))
    place, gain = place[:inside], gain[:inside]
    if len(place) < 2:
        return np.zeros(0, np.float32)
    between = np.arange(_CONTROL) / _CONTROL
    exact = (place[:-1, None] + between * np.diff(place)[:, None]).reshape(-1)
    index = exact.astype(np.int64)
    part = (exact - index).astype(np.float32)
    low = samples[index]
    level = (gain[:-1, None] + between * np.diff(gain)[:, None]).astype(np.float32).reshape(-1)
    return (low + part * (samples[index + 1] - low)) * level


def _sounding(own: Samples, begin: int, released_s: float) -> tuple[float, float]:
    """(onset, offset) in seconds of a note whose own sound (n,) starts at sample `begin`."""
    onset = (begin + onset_sample(own, RATE)) / RATE
    level = level_db(own, RATE)
    release = min(max(int((released_s * RATE - begin) / _LEVEL_HOP), 1), len(level))
    held = level[max(0, release - 40) : release].max()
    below = level < max(held + OFFSET_DB, level.max() + FADED_DB)
    loudest = int(level.argmax())
    after = max(loudest, 0) + int(np.argmax(below[loudest:])) if below[loudest:].any() else len(level)
    if after < release and level[after] >= level.max() + FADED_DB:
        after = release + int(np.argmax(below[release:])) if below[release:].any() else len(level)
    return onset, max((begin + after * _LEVEL_HOP) / RATE, onset + 0.03)
