"""Scores played by a simulated performer: notes in seconds with the beats and downbeats that they were played on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.arrays import Bools, Floats, Ints
from analysis.midi import read_midi
from analysis.piece import Bars
from meloctl.beats.beat_ticks import beats_of_bar

PERIODS = (0.19, 2.0)
"""Seconds, the shortest and the longest usual beat of a performance."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """The pitched notes of a piece in seconds at its own tempo, with its beats."""

    group: str
    """Folder that it came from."""

    name: str
    signature: tuple[int, int]
    """Of its first whole bar."""

    onset: Floats
    offset: Floats
    pitch: Ints
    velocity: Ints
    part: Ints
    beat: Floats
    opens: Bools
    """(B,) True for the beats that begin bars."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Played:
    """Notes of a stretch of a performance, by onset, and its beats, in seconds from the beginning of the stretch."""

    onset: Floats
    offset: Floats
    pitch: Ints
    velocity: Floats
    beat: Floats
    opens: Bools


def read_score(path: Path) -> Score | None:
    """The score of a MIDI file; None where bars last a beat, or hardly a note is pitched. Raises MeloError as reading does."""
    piece = read_midi(path)
    bars = [piece.bars.signature(b) for b in range(piece.n_bars)]
    pitched = ~np.array([part.is_drum for part in piece.parts])[piece.notes.part]
    if any(n / d < 0.2 for n, d in bars[1:]) or pitched.sum() < 30:
        return None
    tick, opens = _beats(piece.bars, piece.n_bars)
    notes, onset_tick = piece.notes, piece.notes.onset_tick[pitched]
    return Score(
        group=path.parent.name,
        name=path.name,
        signature=bars[min(1, len(bars) - 1)],
        onset=piece.seconds_at(onset_tick),
        offset=piece.seconds_at(onset_tick + notes.duration_tick[pitched]),
        pitch=notes.pitch[pitched],
        velocity=notes.velocity[pitched],
        part=notes.part[pitched],
        beat=piece.seconds_at(tick),
        opens=opens,
    )


def _beats(bars: Bars, count: int) -> tuple[Ints, Bools]:
    """Ticks of the beats of so many bars, and which of them begin bars."""
    start = bars.start_tick(np.arange(count + 1)).tolist()
    ticks, opens = [], []
    for b, (first, last) in enumerate(zip(start, start[1:], strict=False)):
        beat = beats_of_bar(bars.signature(b))[1] * bars.ticks_per_quarter
        beats = max(1, round((last - first) / beat))
        ticks += [round(first + k * beat) for k in range(beats)]
        opens += [k == 0 for k in range(beats)]
    return np.array(ticks), np.array(opens)


def perform(score: Score, seconds: float, rng: np.random.Generator) -> Played | None:
    """So many seconds of a score as a performer might play them; None where it does not lend itself to it."""
    period = np.diff(score.beat)
    if len(period) < 16 or period.min() < 1e-3:
        return None
    usual = float(np.median(period))
    onset, offset, pitch, velocity = _some_parts(score, rng)
    if rng.random() < 0.35:
        onset, offset, pitch, velocity = _in_figures(onset, offset, pitch, velocity, usual, rng)
    if len(onset) < 30:
        return None
    lengths = _beat_lengths(period * _slowness(score, onset, usual, rng), score.opens, rng)
    clock = np.append(0, np.cumsum(lengths))
    count = np.arange(len(clock))

    def warped(t: Floats) -> Floats:
        """Seconds in the performance of seconds in the score; outside its beats at the pace of the first, or last."""
        beat = np.interp(t, score.beat, count)
        beat += np.minimum(0, (t - score.beat[0]) / usual) + np.maximum(0, (t - score.beat[-1]) / usual)
        return (
            np.interp(beat, count, clock)
            + np.minimum(beat, 0) * lengths[0]
            + np.maximum(beat - count[-1], 0) * lengths[-1]
        )

    begin, end = warped(onset), warped(offset)
    first = rng.uniform(-2, max(clock[-1] - seconds + 2, -1)) if clock[-1] > seconds else rng.uniform(-3, 0)
    inside = (begin >= first) & (begin < first + seconds - 0.5)
    if inside.sum() < 30:
        return None
    beat_place = np.interp(onset[inside], score.beat, count)
    length = np.maximum(end - begin, 0.03)[inside]
    loud = _velocities(velocity[inside], pitch[inside], beat_place, score.opens, rng)
    at = _loosened(begin[inside], onset[inside], pitch[inside], rng)
    at, length, tone, loud = _changed(at, _articulated(length, rng), pitch[inside] + rng.integers(-6, 7), loud, rng)
    at -= first
    kept = (at >= 0) & (at < seconds - 0.3)
    order = np.flatnonzero(kept)[np.argsort(at[kept], kind="stable")]
    beats = clock - first
    in_time = (beats >= 0) & (beats < seconds)
    return Played(
        onset=at[order],
        offset=(at + length)[order],
        pitch=np.clip(tone, 21, 108)[order],
        velocity=loud[order],
        beat=beats[in_time],
        opens=score.opens[in_time],
    )


_Notes = tuple[Floats, Floats, Ints, Floats]
"""Onset, offset or length, pitch and velocity, each (N,)."""


def _some_parts(score: Score, rng: np.random.Generator) -> _Notes:
    """The notes of a song without its voice, often; of a band without one of its parts, sometimes."""
    parts = np.unique(score.part)
    kept = np.ones(len(score.part), dtype=bool)
    if score.group == "lieder" and len(parts) > 1 and rng.random() < 0.55:
        kept = score.part != parts[0]
    elif score.group in ("freedoom", "easyrpg", "composed") and len(parts) > 2 and rng.random() < 0.3:
        kept = score.part != rng.choice(parts)
    return score.onset[kept], score.offset[kept], score.pitch[kept], score.velocity[kept].astype(float)


def _in_figures(
    onset: Floats, offset: Floats, pitch: Ints, velocity: Floats, beat: float, rng: np.random.Generator
) -> _Notes:
    """The same with held chords broken into figures of 2 to 8 notes a beat, as studies have them."""
    order = np.lexsort((pitch, onset))
    onset, offset, pitch, velocity = onset[order], offset[order], pitch[order], velocity[order]
    _, first, size = np.unique(np.round(onset * 1000), return_index=True, return_counts=True)
    a_beat, figure = int(rng.choice([2, 3, 4, 4, 6, 8])), int(rng.integers(4))
    broken = np.zeros(len(onset), dtype=bool)
    found: list[_Notes] = []
    for s, c in zip(first.tolist(), size.tolist(), strict=True):
        length = float(offset[s : s + c].max() - onset[s])
        n = round(length / beat * a_beat)
        if c < 3 or length < 0.9 * beat or not 2 <= n <= 64:
            continue
        k = np.arange(n)
        turn = np.concatenate([np.arange(c), np.arange(c - 2, 0, -1)])
        place = (k % c, turn[k % len(turn)], c - 1 - k % c, np.where(k % 2 == 0, 0, 1 + k // 2 % (c - 1)))[figure]
        at = onset[s] + k * length / n
        found.append((at, at + length / n, pitch[s : s + c][place], np.full(n, velocity[s])))
        broken[s : s + c] = True
    whole = (onset[~broken], offset[~broken], pitch[~broken], velocity[~broken])
    a, b, c_, d = (np.concatenate(column) for column in zip(whole, *found, strict=True))
    return a, b, c_, d


def _slowness(score: Score, onset: Floats, beat: float, rng: np.random.Generator) -> float:
    """By what the score's beats are longer in the performance: at random, but fingers must be able to."""
    numerator, denominator = score.signature
    compound = numerator % 3 == 0 and numerator > 3 and denominator >= 8
    at = np.unique(np.round(onset, 3))
    gaps = np.diff(at)
    quick = float(np.quantile(gaps[gaps > 0.02], 0.08)) if (gaps > 0.02).any() else beat
    slow = float(np.exp(rng.normal(0.22 if compound else 0.05, 0.48)))
    if quick * slow < 0.065:
        slow = 0.065 / quick * float(np.exp(abs(rng.normal(0, 0.15))))
    onsets_a_second = len(at) / (at[-1] - at[0] + 1) / slow
    slow *= min(onsets_a_second / 1.3, 1.0)
    return float(np.clip(slow, PERIODS[0] / beat, PERIODS[1] / beat))


def _beat_lengths(period: Floats, opens: Bools, rng: np.random.Generator) -> Floats:
    """(B − 1,) seconds of each beat: drift, phrases, ritardandos, new tempos and pauses."""
    n = len(period)
    log = np.log(period)
    loose = float(rng.choice([0, 0.02, 0.05, 0.08, 0.14], p=[0.08, 0.17, 0.3, 0.27, 0.18]))
    drift = np.convolve(rng.normal(0, 1, n + 8), np.exp(-np.arange(8) / 2.5), "same")[:n]
    log += loose * drift / (drift.std() + 1e-9) + rng.normal(0, 0.4 * loose, n)
    phrase = int(rng.choice([2, 4, 8]))
    log += abs(rng.normal(0, 0.08)) * (2 * (np.cumsum(opens)[:n] % phrase / phrase) - 1) ** 2
    if rng.random() < 0.5:
        for _ in range(rng.integers(1, 2 + n // 60)):
            beats, at = int(rng.integers(2, 9)), int(rng.integers(0, n))
            log[at : at + beats] += np.linspace(0, rng.uniform(0.15, 0.8), beats)[: n - at]
            if rng.random() < 0.3:
                log[at + beats :] += rng.normal(0, 0.15)
    if rng.random() < 0.25:
        log[rng.integers(0, n) :] += rng.normal(0, 0.25)
    length = np.exp(log)
    if rng.random() < 0.25:
        length[rng.integers(0, n, rng.integers(1, 3))] += rng.uniform(0.2, 1.5)
    return length


def _loosened(at: Floats, score_onset: Floats, pitch: Ints, rng: np.random.Generator) -> Floats:
    """(N,) onsets as fingers strike them: at random, one hand before the other, chords spread."""
    at = at + rng.normal(0, rng.choice([0, 0.003, 0.008, 0.015, 0.025], p=[0.1, 0.2, 0.3, 0.25, 0.15]), len(at))
    if rng.random() < 0.4:
        at += np.where(pitch < 60, 1, -1) * rng.normal(0, 0.015)
    if rng.random() < 0.5:
        _, chord, size = np.unique(np.round(score_onset * 1000), return_inverse=True, return_counts=True)
        spread = (rng.random(len(size)) < rng.uniform(0, 0.5)) & (size >= 3)
        lowest = np.full(len(size), 999)
        np.minimum.at(lowest, chord, pitch)
        at += np.where(spread[chord], (pitch - lowest[chord]) / 24 * rng.uniform(0.02, 0.15), 0)
    return at


def _articulated(length: Floats, rng: np.random.Generator) -> Floats:
    """(N,) lengths of keys held, from lengths in the score."""
    if rng.random() < 0.15:
        return 0.15 * np.exp(rng.normal(0, 0.3, len(length)))
    share = rng.choice([0.4, 0.7, 0.95, 1.05, 1.6], p=[0.15, 0.2, 0.35, 0.2, 0.1])
    return length * share * np.exp(rng.normal(0, 0.2, len(length)))


def _velocities(velocity: Floats, pitch: Ints, beat: Floats, opens: Bools, rng: np.random.Generator) -> Floats:
    """(N,) velocities: flat, the score's, or a melody's with or without accents on beats at `beat`."""
    n, kind = len(velocity), int(rng.integers(4))
    if kind == 0:
        return np.full(n, 60.0)
    if kind == 1:
        return np.clip(velocity + rng.normal(0, 6, n), 8, 127)
    loud = 60 + rng.normal(0, rng.uniform(3, 14), n) + rng.uniform(-0.2, 0.6) * (pitch - 60)
    loud += 15 * np.cumsum(rng.normal(0, 1, n)) / np.sqrt(n)
    if kind == 3:
        whole = np.clip(np.round(beat).astype(int), 0, len(opens) - 1)
        on_beat = np.abs(beat - np.round(beat)) < 0.06
        loud += on_beat * (rng.uniform(0, 8) + opens[whole] * rng.uniform(0, 10))
    return np.clip(loud, 8, 127)


def _changed(at: Floats, length: Floats, pitch: Ints, loud: Floats, rng: np.random.Generator) -> _Notes:
    """The notes with octaves doubled, some lost, and others that nobody played, as a transcription has them."""
    for chosen, chance, shift in ((pitch < 50, 0.2, -12), (pitch > 64, 0.15, 12)):
        if rng.random() < chance:
            some = np.append(chosen, np.zeros(len(at) - len(chosen), dtype=bool))
            at, length, loud = (np.append(c, c[some]) for c in (at, length, loud))
            pitch = np.append(pitch, pitch[some] + shift)
    if rng.random() < 0.4:
        kept = rng.random(len(at)) > rng.uniform(0, 0.15)
        at, length, pitch, loud = at[kept], length[kept], pitch[kept], loud[kept]
        more = int(len(at) * rng.uniform(0, 0.12))
        like = rng.integers(0, len(at), more)
        anywhere = rng.uniform(at.min(), at.max(), more)
        at = np.append(at, np.where(rng.random(more) < 0.5, at[like] + rng.normal(0, 0.05, more), anywhere))
        length = np.append(length, rng.uniform(0.05, 0.4, more))
        pitch = np.append(pitch, pitch[like] + rng.choice([0, 12, 19, -12, 7, 1, -1], more))
        loud = np.append(loud, 0.7 * loud[like])
    return at, length, pitch, loud
