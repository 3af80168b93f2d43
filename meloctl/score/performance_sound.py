"""The sound of a performance, a minute at a time.

The notes of each minute are rendered on their own, with the controllers that are in force, until they have died away, and are
added to those before; lanes that one call of the synthesizer has no channel for go into another. Voices, mixer and reverb are
linear, so the sum of the parts is the whole, and music of any length takes the memory of a few minutes.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from analysis.arrays import Bools
from meloctl.score.performance import (
    ALL_SOUND_OFF,
    BEND,
    CONTROLLER,
    NOTE_OFF,
    NOTE_ON,
    PROGRAM,
    RPN,
    SUSTAIN,
    Performance,
)
from meloctl.score.synthesizer import BLOCK, DRUM_CHANNEL, MELODIC_CHANNELS, SAMPLE_RATE, Sound, Timed, synthesize

RING_SECONDS = 10
"""How long the sound is followed behind the end of its last note."""

MOST_HELD_SECONDS = 300
"""How long the notes of a minute are followed beyond it; a drone that goes on fades there."""

_SEGMENT = 60 * SAMPLE_RATE
_FADE = SAMPLE_RATE // 2
_MESSAGES = 4096
"""Messages taken at a time."""


def render(performance: Performance, soundfont: bytes, *, threads: int = 1) -> Iterator[Sound]:
    """The sound of a performance from its start to its last ring, a minute at a time.

    Args:
        performance: what is played.
        soundfont: a checked SoundFont 2.
        threads: so many calls of the synthesizer run at a time; the samples are the same for any number.

    Raises:
        MeloError: the synthesizer cannot play the soundfont.
    """
    passes = [_Pass(performance, lanes) for lanes in _passes(performance.is_drum)]
    end = round(performance.end_seconds * SAMPLE_RATE)
    ahead = np.zeros((0, 2), dtype=np.float32)  # what is known of the sound from `start` on
    start = asked = 0
    calls: deque[Future[Sound]] = deque()  # of the passes, minute after minute
    pool = ThreadPoolExecutor(threads)
    try:
        while start < end or len(ahead) or calls or not all(one.is_done for one in passes):
            while len(calls) < max(threads, len(passes)) and not all(one.is_done for one in passes):
                calls.extend(pool.submit(_sound, one.segment(asked, asked + _SEGMENT), soundfont) for one in passes)
                asked += _SEGMENT
            for _ in passes if calls else ():
                ahead = _sum(ahead, calls.popleft().result())
            length = min(_SEGMENT, max(len(ahead), end - start))
            yield _sum(np.zeros((length, 2), dtype=np.float32), ahead[:length])
            ahead = ahead[length:]
            start += _SEGMENT
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True, kw_only=True)
class _Segment:
    """What the synthesizer plays in one call."""

    messages: list[Timed]
    channel: dict[int, int]
    """The MIDI channel of each lane."""

    start: int
    """The frame at which the sound begins."""

    frames: int
    """How many frames it has; 0 where no note is struck."""


def _sound(segment: _Segment, soundfont: bytes) -> Sound:
    """The sound of a segment, from its start to its last ring."""
    if not segment.frames:
        return np.zeros((0, 2), dtype=np.float32)
    sound = synthesize(segment.messages, segment.channel, segment.start, segment.frames, soundfont)
    sound[-_FADE:] *= np.linspace(1, 0, _FADE, dtype=np.float32)[:, None]
    heard = np.flatnonzero(sound.any(axis=1))
    return sound[: heard[-1] + 1 if len(heard) else 0]


def _passes(is_drum: Bools) -> list[list[int]]:
    """Lanes that are rendered in one call: at most one drum kit and fifteen instruments."""
    drums, others = np.flatnonzero(is_drum).tolist(), np.flatnonzero(~is_drum).tolist()
    size = len(MELODIC_CHANNELS)
    count = max(len(drums), -(-len(others) // size))
    return [drums[i : i + 1] + others[i * size : (i + 1) * size] for i in range(count)]


def _sum(first: Sound, second: Sound) -> Sound:
    """The sum of two sounds that begin together; the longer one is changed."""
    if len(first) < len(second):
        first, second = second, first
    first[: len(second)] += second
    return first


class _Pass:
    """The lanes that are rendered in one call, minute by minute."""

    def __init__(self, performance: Performance, lanes: list[int]) -> None:
        mine = np.flatnonzero(np.isin(performance.lane, lanes))
        self.frame = np.rint(performance.seconds[mine] * SAMPLE_RATE / BLOCK).astype(np.int64) * BLOCK
        self.lane, self.message = performance.lane[mine], performance.message[mine]
        self.is_drum = performance.is_drum
        self.next = 0  # the first message that no segment has had
        self.in_force: dict[tuple[int, ...], Timed] = {}  # the last message by lane, kind and number
        melodic = iter(MELODIC_CHANNELS)
        self.channel = {lane: DRUM_CHANNEL if self.is_drum[lane] else next(melodic) for lane in lanes}

    @property
    def is_done(self) -> bool:
        return self.next == len(self.frame)

    def segment(self, start: int, stop: int) -> _Segment:
        """What is played, from frame `start` on, of the notes that are struck before frame `stop`, to their last ring."""
        first, self.next = self.next, int(np.searchsorted(self.frame, stop))
        messages = [(start, lane, message) for _, lane, message in self.in_force.values()]
        own = list(self._messages(first, self.next))
        for timed in own:
            self._keep(timed)
        frames = 0
        if any(message[0] == NOTE_ON for _, _, message in own):
            tail, end = self._tail([*messages, *own], stop)
            messages += [*own, *tail]
            frames = end + RING_SECONDS * SAMPLE_RATE - start
        return _Segment(messages=messages, channel=self.channel, start=start, frames=frames)

    def _messages(self, first: int, stop: int) -> Iterator[Timed]:
        for i in range(first, stop, _MESSAGES):
            some = slice(i, min(i + _MESSAGES, stop))
            columns = self.frame[some].tolist(), self.lane[some].tolist(), map(tuple, self.message[some].tolist())
            yield from zip(*columns, strict=True)

    def _keep(self, timed: Timed) -> None:
        _, lane, (kind, number, *_) = timed
        if kind in (CONTROLLER, RPN) and number != ALL_SOUND_OFF:
            self.in_force[lane, kind, number] = timed
        elif kind in (PROGRAM, BEND):
            self.in_force[lane, kind] = timed

    def _tail(self, played: list[Timed], stop: int) -> tuple[list[Timed], int]:
        """What happens behind frame `stop` to notes that were struck before it, and the frame at which the last of them ends.

        Notes that follow are left to their own segment; only drums are struck, too softly to be heard, since a closed hi-hat
        ends an open one.
        """
        sounding = _Sounding()
        for timed in played:
            sounding.take(timed)
        end = None if sounding else played[-1][0]
        limit = stop + MOST_HELD_SECONDS * SAMPLE_RATE
        tail: list[Timed] = []
        for frame, lane, message in self._messages(self.next, len(self.frame)):
            if frame > limit or (end is not None and frame > end + RING_SECONDS * SAMPLE_RATE):
                break
            if message[0] == NOTE_ON:
                if self.is_drum[lane]:
                    tail.append((frame, lane, (NOTE_ON, message[1], 1, 0)))
                continue
            tail.append((frame, lane, message))
            if end is None:
                sounding.take(tail[-1])
                end = None if sounding else frame
        return tail, min(limit, int(self.frame[-1])) if end is None else end


class _Sounding:
    """The keys that are down or held by the sustain pedal; false where there is none."""

    def __init__(self) -> None:
        self.down: set[tuple[int, int]] = set()
        self.held: set[tuple[int, int]] = set()
        self.pedals: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self.down or self.held)

    def take(self, timed: Timed) -> None:
        _, lane, (kind, number, value, _) = timed
        key = lane, number
        if kind == NOTE_ON:
            self.down.add(key)
        elif kind == NOTE_OFF and key in self.down:
            self.down.discard(key)
            if lane in self.pedals:
                self.held.add(key)
        elif kind == CONTROLLER and number == SUSTAIN and value >= 64:
            self.pedals.add(lane)
        elif kind == CONTROLLER and number in (SUSTAIN, ALL_SOUND_OFF):
            self.held = {held for held in self.held if held[0] != lane}
            if number == SUSTAIN:
                self.pedals.discard(lane)
            else:
                self.down = {down for down in self.down if down[0] != lane}
