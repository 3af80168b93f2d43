"""What it means that a file was not read as it stands: each kind of departure with its count and what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from analysis.findings import Finding
from analysis.piece_check import EARLY, SILENT_BARS, SILENT_SHARE, PieceCheck


@dataclass(frozen=True, kw_only=True)
class _Kind:
    """A kind of departure: a field of `Departures`, and its finding."""

    field: str
    name: str
    phrase: str
    what: str
    """Before the count of all files together."""

    advice: str
    fix: bool = False
    missing: bool = False


_NOTHING_HEARD = "nothing: they sound so"

_KINDS = (
    _Kind(
        field="behind_end",
        name="behind-end",
        phrase="with music behind the end of a track",
        what="bytes behind the end of a track: what stands there is not read",
        advice="leave the files out, or save them anew in a sequencer and look whether all is there",
        missing=True,
    ),
    _Kind(
        field="further_files",
        name="further-files",
        phrase="with further pieces inside",
        what="MIDI files behind the first in one file: only the first is read",
        advice="cut them into files of their own",
        missing=True,
    ),
    _Kind(
        field="escapes",
        name="escapes",
        phrase="with hidden events",
        what="notes or other channel messages inside escape events (F7): passed over",
        advice="leave the files out, or save them anew in a sequencer and look whether all is there",
        missing=True,
    ),
    _Kind(
        field="not_understood",
        name="not-understood",
        phrase="with bytes that are no MIDI",
        what="bytes or events that no MIDI file has (data above 127, system messages): passed over, music may be lost there",
        advice="look for an undamaged copy, or leave the files out",
        missing=True,
    ),
    _Kind(
        field="endless",
        name="endless-notes",
        phrase="with notes without an end",
        what="notes without an end: taken to last to the next note of their pitch, or to the end of their track",
        advice="shorten those that are wrong in a sequencer, or leave the files out",
        fix=True,
    ),
    _Kind(
        field="signatures_ignored",
        name="signatures-ignored",
        phrase="with time signatures that mean nothing",
        what="time signatures that mean nothing (no beats, beats shorter than a 128th, cut off): ignored, so bars may be wrong",
        advice="set them right in a sequencer, or pass --meter",
        fix=True,
    ),
    _Kind(
        field="signatures_contradicted",
        name="signatures-contradicted",
        phrase="with tracks of different time signatures",
        what="time signatures that another track contradicts at the same place: the first track's count",
        advice="look at the bars in a sequencer; where they are wrong, delete the first track's signatures",
        fix=True,
    ),
    _Kind(
        field="overruled_programs",
        name="programs-overruled",
        phrase="with tracks that change each other's programs",
        what="notes that play another program than their own track set: another track, or a reset, set it on their channel",
        advice="nothing, if they are to sound as in a player; else give each track a channel of its own in a sequencer",
        fix=True,
    ),
    _Kind(
        field="transposed",
        name="transposed",
        phrase="with transposed channels",
        what="notes that sound higher or lower than written, by coarse tuning or a GS or XG message: read as written",
        advice="transpose them in a sequencer and delete the message, else harmony across parts is wrong",
        fix=True,
    ),
    _Kind(
        field="mt32",
        name="mt32",
        phrase="for a Roland MT-32",
        what="files that speak to a Roland MT-32, whose programs are other instruments: read as General MIDI's",
        advice="convert them to General MIDI, or leave them out where instruments matter",
        fix=True,
    ),
    _Kind(
        field="ended_by_all_off",
        name="all-notes-off",
        phrase="with notes ended by All Notes Off",
        what="notes that All Notes Off ends, or All Sound Off, in place of a note-off",
        advice=_NOTHING_HEARD,
    ),
    _Kind(
        field="grace",
        name="grace-notes",
        phrase="with notes that end before they begin",
        what="notes whose note-off stands before their note-on, as music21 writes grace notes: read with length 0",
        advice="nothing",
    ),
    _Kind(
        field="drums_by_bank",
        name="drums-by-bank",
        phrase="with drums by bank",
        what="notes that are drums outside channel 10, or none on it, by their bank (General MIDI 2, XG)",
        advice=_NOTHING_HEARD,
    ),
    _Kind(
        field="drums_by_sysex",
        name="drums-by-sysex",
        phrase="with drums by system exclusive",
        what="notes that are drums outside channel 10, or none on it, by a GS or XG message",
        advice=_NOTHING_HEARD,
    ),
    _Kind(
        field="joined_parts",
        name="joined-parts",
        phrase="with parts of several channels or kits",
        what="parts that join several channels (guitar strings, MPE), or several drum kits, of one track",
        advice="nothing",
    ),
    _Kind(
        field="signatures_moved",
        name="signatures-moved",
        phrase="with time signatures beside their bar lines",
        what="time signatures a hair beside a bar line: moved to it",
        advice="nothing",
    ),
    _Kind(
        field="signatures_inside",
        name="signatures-inside",
        phrase="with time signatures said again inside a bar",
        what="time signatures said again inside a bar: they change nothing, and the bar goes on",
        advice="nothing, unless a bar was meant to begin there: then cut the one before short in a sequencer",
    ),
    _Kind(
        field="running_status",
        name="running-status",
        phrase="with running status over other events",
        what="events that take their status from before a system exclusive or meta event, which the standard forbids: read so",
        advice="nothing: players do the same; a sequencer that saves the files mends them",
    ),
    _Kind(
        field="extra_tracks",
        name="extra-tracks",
        phrase="with more tracks than they say",
        what="tracks beyond the number in the header: read",
        advice="nothing, but some players leave them out",
    ),
    _Kind(
        field="tempos_ignored",
        name="tempos-ignored",
        phrase="with tempo events that name none",
        what="tempo events that name no tempo: ignored",
        advice="nothing, where the speed is right",
    ),
    _Kind(
        field="late_end",
        name="late-end",
        phrase="that end far behind their music",
        what="files whose End of Track lies past the limit of bars: the last note ends them instead",
        advice="nothing",
    ),
    _Kind(
        field="other_chunks",
        name="other-chunks",
        phrase="with other things than tracks",
        what="chunks that hold no track (titles, sounds, a maker's own): passed over",
        advice="nothing: no notes stand in them",
    ),
)


def reading_findings(pieces: Sequence[PieceCheck]) -> list[Finding]:
    """Findings about how the files of a corpus were read, those that concern no piece left out."""
    found = [*(_of_kind(kind, pieces) for kind in _KINDS), *_of_bars(pieces)]
    return [f for f in found if f.files]


def _of_kind(kind: _Kind, pieces: Sequence[PieceCheck]) -> Finding:
    counts = [getattr(piece.departures, kind.field) for piece in pieces]
    return Finding(
        name=kind.name,
        files=tuple(i for i, count in enumerate(counts) if count),
        fix=kind.fix or kind.missing,
        missing=kind.missing,
        phrase=kind.phrase,
        what=f"{kind.what} ({sum(counts):,} in all)",
        advice=kind.advice,
    )


def _of_bars(pieces: Sequence[PieceCheck]) -> Iterator[Finding]:
    late = [i for i, p in enumerate(pieces) if p.silent_bars >= max(SILENT_BARS, SILENT_SHARE * p.bars)]
    yield Finding(
        name="silent-end",
        files=tuple(late),
        fix=True,
        phrase="with a long silence at the end",
        what=f"bars behind the last note, over {SILENT_SHARE:.0%} of a file: they belong to the piece, since End of Track stands "
        f"behind them ({sum(pieces[i].silent_bars for i in late):,} in all)",
        advice="move End of Track to the end of the music in a sequencer, unless the silence is meant",
    )
    early = [i for i, p in enumerate(pieces) if p.early > EARLY * p.notes]
    yield Finding(
        name="early-notes",
        files=tuple(early),
        fix=False,
        phrase="with notes a hair before their bar",
        what=f"notes struck at most 1/24 of a quarter before a bar line, over {EARLY:.0%} of a file: they belong to the bar that "
        f"it opens ({sum(pieces[i].early for i in early):,} in all)",
        advice="nothing: statistics, rows and infill take them so",
    )
