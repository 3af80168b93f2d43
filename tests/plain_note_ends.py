"""Slow and obvious: where notes end. What is here knows one key of one channel in one track, and then all of them.

A line is what happens to such a key, in order: note-ons, note-offs, and the places where All Notes Off silences it.
"""

from collections import deque
from typing import NamedTuple

from plain_events import Event

ON, OFF, SILENCE = "on", "off", "silence"


class Act(NamedTuple):
    """One thing that happens to a key."""

    kind: str
    tick: int
    event: Event
    """For SILENCE the event of All Notes Off, in whichever track."""


class End(NamedTuple):
    """How a note ends."""

    on: Event
    tick: int
    how: str
    """"off", "grace", "next note", "all off", "other track" or "end of track"."""
    off: Event | None
    """The note-off that is its own."""


class Stretch(NamedTuple):
    """What happens to a key from no open note to no open note, or until it is broken off."""

    stray: list[Act]
    """Note-offs that stand before it and ended nothing."""
    acts: list[Act]
    """Note-ons and note-offs."""
    broken: bool
    silence: Act | None
    """The All Notes Off that broke it off; None where the track ended."""


class Ends(NamedTuple):
    """The notes of a line."""

    ended: list[End]
    open: list[Event]
    """Note-ons that nothing in the track ended."""
    spare: list[Event]
    """Note-offs that ended nothing."""


def with_silences(acts: list[Act], silences: list[Event], track: int) -> list[Act]:
    """A track's note-ons and note-offs of one key with the All Notes Off of its channel among them.

    One of the own track stands where it stands, one of another track before what happens at its tick. Note-offs of the very
    tick that follow it before a note-on end their notes themselves: it goes behind them.
    """
    placed = []
    for event in silences:
        own = event.track == track
        placed.append((event.tick, event.index if own else -1, Act(SILENCE, event.tick, event)))
    placed += [(act.tick, act.event.index, act) for act in acts]
    line = [act for _, _, act in sorted(placed, key=lambda place: place[:2])]
    for at in reversed(range(len(line))):
        if line[at].kind == SILENCE:
            behind = at + 1
            while behind < len(line) and line[behind].kind == OFF and line[behind].tick == line[at].tick:
                behind += 1
            line.insert(behind - 1, line.pop(at))
    return line


def stretches(line: list[Act]) -> tuple[list[Stretch], list[Act]]:
    """The stretches of a line, and the note-offs behind the last that ended nothing."""
    found: list[Stretch] = []
    stray: list[Act] = []
    acts: list[Act] = []
    n_open = 0
    for act in line:
        if act.kind == OFF and n_open == 0:
            stray.append(act)
        elif act.kind != SILENCE:
            acts.append(act)
            n_open += 1 if act.kind == ON else -1
        if acts and (n_open == 0 or act.kind == SILENCE):
            found.append(Stretch(stray, acts, n_open > 0, act if n_open else None))
            stray, acts, n_open = [], [], 0
    if acts:
        found.append(Stretch(stray, acts, True, None))
        stray = []
    return found, stray


def matched(acts: list[Act]) -> tuple[list[End], list[Act], list[Act]]:
    """Note-offs end note-ons first in, first out. A note-on before which, at its tick, a note-off ended nothing is a note of
    no length, and that note-off is spoken for. Also the note-ons left open and the note-offs left over."""
    ended: list[End] = []
    waiting: deque[Act] = deque()
    spare: list[Act] = []
    for act in acts:
        if act.kind == OFF:
            if waiting:
                ended.append(End(waiting.popleft().event, act.tick, "off", act.event))
            else:
                spare.append(act)
        elif serving := [off for off in spare if off.tick == act.tick]:
            spare.remove(serving[0])
            ended.append(End(act.event, act.tick, "grace", serving[0].event))
        else:
            waiting.append(act)
    return ended, list(waiting), spare


def well_formed(stretch: Stretch) -> Ends:
    """Matched first in, first out, whatever stands before it."""
    ended, _, _ = matched(stretch.acts)
    return Ends(ended, [], [act.event for act in stretch.stray])


def leading(stretch: Stretch) -> list[Act]:
    """The note-offs before a stretch that ended nothing and lie at its first tick."""
    return [act for act in stretch.stray if act.tick == stretch.acts[0].tick]


def touches(before: Stretch, stretch: Stretch) -> bool:
    """Whether a well-formed stretch closed at the tick at which the next one opens."""
    return not before.broken and before.acts[-1].tick == stretch.acts[0].tick


def explained(chain: list[Stretch]) -> Ends | None:
    """A broken stretch and those that it touches, read with the note-offs before them; None where that leaves a note open."""
    acts = leading(chain[0]) + chain[0].acts
    for stretch in chain[1:]:
        acts += stretch.stray + stretch.acts
    ended, still_open, spare = matched(acts)
    if still_open:
        return None
    earlier = [act for act in chain[0].stray if act.tick != chain[0].acts[0].tick]
    return Ends(ended, [], [act.event for act in earlier + spare])


def key_by_key(stretch: Stretch) -> Ends:
    """A broken stretch that nothing explains: notes of no length stay so; of the rest each note-on ends at the next
    note-on or note-off, the last at the All Notes Off; else it is open."""
    ended, _, _ = matched(leading(stretch) + stretch.acts)
    ended = [end for end in ended if end.how == "grace"]
    spoken_for = {event for end in ended for event in (end.on, end.off)}
    rest = [act for act in stretch.acts if act.event not in spoken_for]
    still_open = []
    for act, after in zip(rest, [*rest[1:], stretch.silence], strict=True):
        if act.kind == OFF:
            continue
        if after is None:
            still_open.append(act.event)
        elif after.kind == OFF:
            ended.append(End(act.event, after.tick, "off", after.event))
        else:
            ended.append(End(act.event, after.tick, "next note" if after.kind == ON else "all off", None))
    used = {end.off for end in ended}
    offs = [act.event for act in stretch.stray + stretch.acts if act.kind == OFF]
    return Ends(ended, still_open, [off for off in offs if off not in used])


def ends_of(line: list[Act]) -> Ends:
    """The notes of one key of one channel in one track."""
    found, stray = stretches(line)
    read: list[Ends] = []  # one of each stretch; None of those that a chain took
    for at, stretch in enumerate(found):
        if not stretch.broken:
            read.append(well_formed(stretch))
            continue
        first, whole = at, None
        while True:
            if leading(found[first]):
                whole = explained(found[first : at + 1])
            if whole or first == 0 or not touches(found[first - 1], found[first]):
                break
            first -= 1
        if whole:
            read[first:] = [Ends([], [], [])] * (at - first) + [whole]
        else:
            read.append(key_by_key(stretch))
    return Ends(
        [end for ends in read for end in ends.ended],
        [on for ends in read for on in ends.open],
        [off for ends in read for off in ends.spare] + [act.event for act in stray],
    )


def all_ends(events: list[list[Event]], end_ticks: list[int]) -> list[End]:
    """Every note of the tracks, by track and then as their note-ons stand."""
    lines, silences = key_lines(events)
    read = {
        place: ends_of(with_silences(acts, silences.get(place[1:3], []), place[0])) for place, acts in lines.items()
    }
    spare: dict[tuple[int, int, int], list[Event]] = {}
    for (_, *key), ends in read.items():
        spare.setdefault(tuple(key), []).extend(ends.spare)
    notes = [end for ends in read.values() for end in ends.ended]
    for (track, *key), ends in read.items():
        for on in ends.open:
            others = [off for off in spare.get(tuple(key), []) if off.track != track and off.tick >= on.tick]
            notes.append(end_elsewhere(on, others, end_ticks[track]))
    return sorted(notes, key=lambda end: (end.on.track, end.on.index))


def end_elsewhere(on: Event, offs: list[Event], end_tick: int) -> End:
    """A note that its track leaves open: the first note-off of another track behind its tick, else one at its tick, else
    the track's end."""
    ticks = sorted(off.tick for off in offs)
    if ticks:
        return End(on, next((tick for tick in ticks if tick > on.tick), on.tick), "other track", None)
    return End(on, end_tick, "end of track", None)


def key_lines(
    events: list[list[Event]],
) -> tuple[dict[tuple[int, int, int, int], list[Act]], dict[tuple[int, int], list[Event]]]:
    """Note-ons and note-offs by (track, port, channel, pitch), and All Notes Off by (port, channel)."""
    lines: dict[tuple[int, int, int, int], list[Act]] = {}
    silences: dict[tuple[int, int], list[Event]] = {}
    for track in events:
        for event in track:
            kind, channel = event.status & 0xF0, event.status & 0x0F
            if kind in (0x80, 0x90):
                struck = kind == 0x90 and event.data[1] > 0  # velocity 0 is a note-off
                act = Act(ON if struck else OFF, event.tick, event)
                lines.setdefault((event.track, event.port, channel, event.data[0]), []).append(act)
            elif kind == 0xB0 and event.data[0] in (120, 123, 124, 125, 126, 127):
                silences.setdefault((event.port, channel), []).append(event)
    return lines, silences
