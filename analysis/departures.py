"""What in a MIDI file was not read as it stands: counts, for whoever checks it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Departures:
    """Counts over one file; 0 where it was read as it stands. docs/conventions.md has the rules of reading."""

    running_status: int = 0
    """Events that took their status from before a system exclusive or meta event."""

    not_understood: int = 0
    """Data bytes above 127, taken as 127, and system messages F1 … FE, passed over."""

    behind_end: int = 0
    """Bytes behind a track's End of Track, or behind the last track without being a chunk, not read; padding does not count."""

    further_files: int = 0
    """MIDI files behind the first in one file (a second MThd, a second sequence of a RIFF file), not read."""

    escapes: int = 0
    """Escape events (F7) that hold a channel message, passed over."""

    other_chunks: int = 0
    """Chunks that hold no track, in the MIDI file or in the RIFF file around it, passed over."""

    extra_tracks: int = 0
    """Tracks beyond the header's count, read."""

    endless: int = 0
    """Notes without an end of their own: their length is a guess."""

    ended_by_all_off: int = 0
    """Notes ended by All Notes Off or All Sound Off, or by what implies it."""

    grace: int = 0
    """Notes whose note-off stands before their note-on at one tick: read with length 0."""

    drums_by_bank: int = 0
    """Notes that a bank select makes drums, or on channel 10 melodic."""

    drums_by_sysex: int = 0
    """Notes that a GS or XG message makes drums, or on channel 10 melodic."""

    overruled_programs: int = 0
    """Pitched notes that play another program than their own track set last: another track, or a reset, set theirs."""

    transposed: int = 0
    """Pitched notes on a channel that coarse tuning, or a GS or XG message, transposes: read as written."""

    mt32: int = 0
    """1 for a file that speaks to a Roland MT-32, whose programs are other instruments than General MIDI's."""

    joined_parts: int = 0
    """Parts that join several channels or several kits."""

    signatures_moved: int = 0
    """Time signatures moved to the bar line beside them."""

    signatures_inside: int = 0
    """Time signatures said again inside a bar, which change nothing."""

    signatures_contradicted: int = 0
    """Time signatures that differ from that of an earlier track at their tick, which counts."""

    signatures_ignored: int = 0
    """Time signatures without a meaning: shorter than 2 bytes, numerator 0, denominator past 2^7."""

    tempos_ignored: int = 0
    """Tempo events of another length than 3 bytes."""

    late_end: int = 0
    """1 where End of Track lies beyond the limit of bars and is left out of account."""
