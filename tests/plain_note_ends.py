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
    """What happens to a key from no open note to no open note, or until it is broken off: note-ons and note-offs."""

    acts: list[Act]
    broken: bool
    silence: Act | None
    """The All Notes Off that broke it off; None where the track ended."""


class Line(NamedTuple):
    """What happens to a key, as plain first in, first out has it."""

    stretches: list[Stretch]
    stray: list[Event]
    """Note-offs that ended nothing."""
    before: dict[Event, Event]
    """For each note-on before which, at its tick, a note-off ended nothing, that note-off: each stands for one."""


class Ends(NamedTuple):
    """The notes of a line."""

    ended: list[End]
    open: list[Event]
    """Note-ons that nothing in the track ended."""
    spare: list[Event]
    """Note-offs that ended nothing."""


def with_silences(acts: list[Act], silences: list[Event], first_on: dict[int, int]) -> list[Act]:
    """A track's note-ons and note-offs of one key with the All Notes Off of its channel, of whichever track, among them.

    It ends what was struck before its tick, and stands before what happens at its tick: but for note-offs before the channel's
    first note-on of the tick in the track (`first_on`, by tick), which end their notes themselves.
    """
    line = []
    for act in acts:
        early = act.event.index < first_on.get(act.tick, act.event.index + 1)
        line.append((act.tick, 0 if early else 2, act.event.index, act))
    line += [(event.tick, 1, 0, Act(SILENCE, event.tick, event)) for event in silences]
    return [act for *_, act in sorted(line, key=lambda place: place[:3])]


def first_in_first_out(acts: list[Act]) -> Line:
    """The stretches of a key, and its note-offs that ended nothing."""
    line = Line([], [], {})
    idle: list[Act] = []  # note-offs of one tick that ended nothing and stand for no note-on yet
    stretch: list[Act] = []
    n_open = 0
    for act in acts:
        if act.kind == OFF and n_open == 0:
            line.stray.append(act.event)
            idle = [before for before in idle if before.tick == act.tick] + [act]
        elif act.kind != SILENCE:
            stretch.append(act)
            n_open += 1 if act.kind == ON else -1
        if act.kind == ON and idle and idle[-1].tick == act.tick:
            line.before[act.event] = idle.pop().event
        if stretch and (n_open == 0 or act.kind == SILENCE):
            line.stretches.append(Stretch(stretch, n_open > 0, act if n_open else None))
            stretch, n_open = [], 0
    if stretch:
        line.stretches.append(Stretch(stretch, True, None))
    return line


def matched(acts: list[Act], before: dict[Event, Event]) -> tuple[list[End], bool]:
    """Note-offs end note-ons first in, first out; but a note-on before which, at its tick, a note-off ended nothing is a note
    of no length, and that note-off is spoken for. Also whether all note-ons end."""
    ended: list[End] = []
    waiting: deque[Event] = deque()
    idle: list[Event] = []
    for kind, tick, event in acts:
        if kind == OFF and waiting:
            ended.append(End(waiting.popleft(), tick, "off", event))
        elif kind == OFF:
            idle.append(event)
        elif event in before:
            ended.append(End(event, tick, "grace", before[event]))
        elif idle and idle[-1].tick == tick:
            ended.append(End(event, tick, "grace", idle.pop()))
        else:
            waiting.append(event)
    return ended, not waiting


def key_by_key(stretch: Stretch, before: dict[Event, Event]) -> tuple[list[End], list[Event]]:
    """A broken stretch that nothing explains: notes of no length stay so; of the rest each note-on ends at the next
    note-on or note-off, the last at the All Notes Off; else it is open."""
    ended = [end for end in matched(stretch.acts, before)[0] if end.how == "grace"]
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
    return ended, still_open


def chain_start(line: Line, at: int) -> int | None:
    """The nearest stretch from which a broken one might be explained: each of those between closed at the tick at which the
    next one opened, and before the first of them a note-off ended nothing."""
    while at > 0 and not line.stretches[at - 1].broken:
        earlier, opening = line.stretches[at - 1], line.stretches[at].acts[0]
        if earlier.acts[-1].tick != opening.tick:
            return None
        at -= 1
        if earlier.acts[0].event in line.before:
            return at
    return None


def ends_of(acts: list[Act]) -> Ends:
    """The notes of one key of one channel in one track."""
    line = first_in_first_out(acts)
    read: list[list[End]] = []  # of each stretch; nothing of those that are read with a later one
    still_open: list[Event] = []
    for at, stretch in enumerate(line.stretches):
        if not stretch.broken:
            read.append(matched(stretch.acts, {})[0])
            continue
        ended, even = matched(stretch.acts, line.before)
        first = None if even else chain_start(line, at)
        if first is not None:
            chain = [act for one in line.stretches[first : at + 1] for act in one.acts]
            ended, even = matched(chain, line.before)
            if even:
                read[first:] = [[]] * (at - first)
        if not even:
            ended, more = key_by_key(stretch, line.before)
            still_open += more
        read.append(ended)
    found = [end for ended in read for end in ended]
    used = {end.off for end in found}
    return Ends(found, still_open, [act.event for act in acts if act.kind == OFF and act.event not in used])


def all_ends(events: list[list[Event]], end_ticks: list[int]) -> list[End]:
    """Every note of the tracks, by track and then as their note-ons stand."""
    silences = all_notes_off(events)
    notes: list[End] = []
    still_open: list[Event] = []
    spare: dict[tuple[int, int, int], list[Event]] = {}
    for track in events:
        lines = key_lines(track)
        ons = [act.event for acts in lines.values() for act in acts if act.kind == ON]
        port = min(ons, key=lambda on: on.index).port if ons else 0
        first_on: dict[int, dict[int, int]] = {}  # by channel, then by tick
        for on in sorted(ons, key=lambda on: on.index):
            first_on.setdefault(on.status & 0x0F, {}).setdefault(on.tick, on.index)
        for (channel, pitch), acts in lines.items():
            ends = ends_of(with_silences(acts, silences.get((port, channel), []), first_on.get(channel, {})))
            notes += ends.ended
            still_open += ends.open
            for off in ends.spare:
                spare.setdefault((off.port, channel, pitch), []).append(off)
    for on in sorted(still_open, key=lambda on: (on.tick, on.track, on.index)):
        notes.append(end_elsewhere(on, spare.get((on.port, on.status & 0x0F, on.data[0]), []), end_ticks[on.track]))
    return sorted(notes, key=lambda end: (end.on.track, end.on.index))


def end_elsewhere(on: Event, spare: list[Event], end_tick: int) -> End:
    """A note that its track leaves open: the first note-off of another track behind its tick, each for one note, else the
    track's end."""
    offs = [off for off in spare if off.track != on.track and off.tick > on.tick]
    if not offs:
        return End(on, end_tick, "end of track", None)
    first = min(offs, key=lambda off: (off.tick, off.track, off.index))
    spare.remove(first)
    return End(on, first.tick, "other track", None)


def key_lines(track: list[Event]) -> dict[tuple[int, int], list[Act]]:
    """A track's note-ons and note-offs by (channel, pitch), whatever their ports."""
    lines: dict[tuple[int, int], list[Act]] = {}
    for event in track:
        if event.status & 0xF0 in (0x80, 0x90):
            struck = event.status & 0xF0 == 0x90 and event.data[1] > 0  # velocity 0 is a note-off
            act = Act(ON if struck else OFF, event.tick, event)
            lines.setdefault((event.status & 0x0F, event.data[0]), []).append(act)
    return lines


def all_notes_off(events: list[list[Event]]) -> dict[tuple[int, int], list[Event]]:
    """All Sound Off, All Notes Off and the changes of mode that imply it, one a tick, by (port, channel); on a track's notes
    act those of the port of its first."""
    found: dict[tuple[int, int], dict[int, Event]] = {}
    for track in events:
        for event in track:
            if event.status & 0xF0 == 0xB0 and event.data[0] in (120, 123, 124, 125, 126, 127):
                found.setdefault((event.port, event.status & 0x0F), {})[event.tick] = event
    return {channel: list(by_tick.values()) for channel, by_tick in found.items()}
