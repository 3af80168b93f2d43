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
        elif spare and spare[-1].tick == act.tick:
            ended.append(End(act.event, act.tick, "grace", spare.pop().event))
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
        first, whole = at, explained([stretch])
        while not whole and first > 0 and touches(found[first - 1], found[first]):
            first -= 1
            if leading(found[first]):  # the nearest from which something may be explained
                whole = explained(found[first : at + 1])
                break
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
