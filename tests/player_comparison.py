"""A file as the reader reads it, beside the same file as the plain player plays it: every difference, in words.

Nothing but Python's own library is imported before it is needed, as the fuzzer measures the memory of its process.
"""

from plain_events import Refused
from plain_player import Playing, is_meta, play


def difference(data: bytes) -> str:
    """What differs between reader and player; "" where they agree, or where the reader refuses what is over a limit."""
    from analysis.errors import MeloError
    from analysis.midi import parse_source

    try:
        playing, refused = play(data), ""
    except Refused as reason:
        playing, refused = None, str(reason)
    try:
        source = parse_source(data)
    except MeloError as error:
        if playing is None or over_limits(data, playing):
            return ""
        return f"refused ({error}), and played"
    if playing is None:
        return f"read, and not played: {refused}"
    return "; ".join(differences(source, playing))


def over_limits(data: bytes, playing: Playing) -> list[str]:
    """What of a file is more than the reader's limits allow."""
    from analysis.midi_events import MOST_EVENTS
    from analysis.midi_limits import Limits

    limits = Limits()
    signatures = [e for track in playing.file.tracks for e in track.events if is_meta(e, 0x58) and len(e.data) > 2]
    tempos = [e for track in playing.file.tracks for e in track.events if is_meta(e, 0x51)]
    longest = max((4 * e.data[1] / 2 ** e.data[2] for e in signatures), default=4)
    found = {
        "bytes": (max(len(data), len(playing.file.data)), limits.file_bytes),
        "bars": (playing.n_bars, limits.bars),
        "notes": (len(playing.notes), limits.notes),
        "parts": (len(playing.parts), limits.parts),
        "signatures": (len(signatures), limits.changes),
        "tempos": (len(tempos), limits.changes),
        "zones": (sum(is_zone(e) for track in playing.file.tracks for e in track.events), 1000),
        "events": (sum(len(track.events) for track in playing.file.tracks), MOST_EVENTS),
        "quarters a bar": (longest, limits.bar_quarters),
    }
    return [f"{number} {kind}, at most {most}" for kind, (number, most) in found.items() if number > most]


def is_zone(event) -> bool:
    """Whether an event may make a zone of MPE."""
    return event.status & 0xF0 == 0xB0 and event.data[0] == 6


def differences(source, playing: Playing) -> list[str]:
    """Events, notes, parts, bars, tempos and departures that are not the same."""
    checks = {
        "events": (reader_events(source), player_events(playing)),
        "ends of tracks": (source.events.end_tick.tolist(), [track.end_tick for track in playing.file.tracks]),
        "end": (source.piece.end_tick, 0 if playing.departures["late_end"] else playing.end_tick),
        "notes": (reader_notes(source), player_notes(playing)),
        "parts": (reader_parts(source), player_parts(playing)),
        "bars": (source.piece.n_bars, playing.n_bars),
        "signatures": (reader_signatures(source), player_signatures(playing)),
        "tempos": (reader_tempos(source), playing.tempos),
        **{
            f"departure {kind}": (getattr(source.departures, kind), count) for kind, count in playing.departures.items()
        },
    }
    return [f"{kind}: {first_difference(*both)}" for kind, both in checks.items() if both[0] != both[1]]


def first_difference(read, played) -> str:
    if not isinstance(read, list):
        return f"read {read}, played {played}"
    at = next(
        (i for i, both in enumerate(zip(read, played, strict=False)) if both[0] != both[1]), min(len(read), len(played))
    )
    return (
        f"{len(read)} read, {len(played)} played, number {at}: read {read[at : at + 1]}, played {played[at : at + 1]}"
    )


def reader_events(source) -> list[tuple[int, ...]]:
    """(track, tick, status, start, stop)"""
    e = source.events
    return list(zip(*(column.tolist() for column in (e.track, e.tick, e.status, e.start, e.stop)), strict=True))


def player_events(playing: Playing) -> list[tuple[int, ...]]:
    return [(e.track, e.tick, e.status, e.start, e.stop) for track in playing.file.tracks for e in track.events]


def reader_notes(source) -> list[tuple[int, ...]]:
    """(event of the note-on, event of its note-off or -1, part, onset, duration, pitch, velocity, bar), by note-on"""
    n = source.piece.notes
    columns = (
        *(source.note_on, source.note_off, n.part, n.onset_tick, n.duration_tick, n.pitch, n.velocity),
        source.piece.note_bar,
    )
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def player_notes(playing: Playing) -> list[tuple[int, ...]]:
    first, firsts = 0, []
    for track in playing.file.tracks:
        firsts.append(first)
        first += len(track.events)
    found = []
    for part, members in enumerate(playing.parts):
        for n in members.notes:
            off = -1 if n.off < 0 else firsts[n.track] + n.off
            found.append((firsts[n.track] + n.on, off, part, n.onset, n.end - n.onset, n.pitch, n.velocity, n.bar))
    return sorted(found)


def reader_parts(source) -> list[tuple]:
    """(program, whether drums, channels)"""
    channels: list[set[int]] = [set() for _ in source.piece.parts]
    for part, channel in zip(source.piece.notes.part.tolist(), source.note_channel.tolist(), strict=True):
        channels[part].add(channel)
    return [
        (part.program, part.is_drum, tuple(sorted(those)))
        for part, those in zip(source.piece.parts, channels, strict=True)
    ]


def player_parts(playing: Playing) -> list[tuple]:
    return [(part.program, part.is_drum, part.channels) for part in playing.parts]


def reader_signatures(source) -> list[tuple[int, ...]]:
    bars = source.piece.bars
    columns = (bars.signature_tick, bars.numerator, bars.denominator, bars.first_bar)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def player_signatures(playing: Playing) -> list[tuple[int, ...]]:
    return [tuple(region) for region in playing.signatures]


def reader_tempos(source) -> list[tuple[int, int]]:
    """(tick, microseconds a quarter) of each change"""
    piece, found = source.piece, []
    for tick, tempo in zip(piece.tempo_tick.tolist(), piece.tempo.tolist(), strict=True):
        microseconds = round(60_000_000 / tempo)
        if not found or found[-1][1] != microseconds:
            found.append((tick, microseconds))
    return found
