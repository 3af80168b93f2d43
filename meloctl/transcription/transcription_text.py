"""What became of recordings, in words for a terminal and as JSON values."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from meloctl.formatting import NOTHING, clock, count, percent, text_table
from meloctl.transcription.plan import UnreadRecording
from meloctl.transcription.session import Outcome

_TONES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def outcome_line(outcome: Outcome) -> str:
    """An outcome in one line: "song.wav: 412 notes in 3 parts, 1:33, 48 bars of 4/4, about 96 quarter notes a minute"."""
    if isinstance(outcome, UnreadRecording):
        return f"{outcome.path}: {outcome.reason}"
    return f"{outcome.path}: {_found_in_words(outcome.run.manifest.results)}"


def outcome_lines(outcome: Outcome, *, table: bool = True) -> list[str]:
    """An outcome with what must be known of it; `table`: and with a table of its parts."""
    lines = [outcome_line(outcome)]
    if isinstance(outcome, UnreadRecording):
        return lines
    messages = outcome.run.manifest_value("results", "messages")
    if table:
        return [*lines, *_part_table(outcome.run.manifest_value("results", "parts")), *messages]
    return [*lines, *(f"  {message}" for message in messages)]


def is_unread(outcome: Outcome) -> bool:
    """Whether a recording was not transcribed."""
    return isinstance(outcome, UnreadRecording)


def summary_line(outcomes: Collection[Outcome], *, of: int) -> str:
    """ "2 of 3 recordings transcribed, 1 cannot be"; `of` is how many there are in all."""
    unread = sum(map(is_unread, outcomes))
    line = f"{len(outcomes) - unread} of {count(of, 'recording')} transcribed"
    return line + (f", {unread} cannot be" if unread else "")


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON values: `sound`, and `error` or what was found and the `path` of the MIDI file."""
    if isinstance(outcome, UnreadRecording):
        return {"sound": str(outcome.path), "error": outcome.reason}
    results = outcome.run.manifest.results
    copy = {} if outcome.out is None else {"out": str(outcome.out)}
    return {**results, "sound": str(outcome.path), "path": str(outcome.run.folder / str(results["file"])), **copy}


def _found_in_words(results: Mapping[str, Any]) -> str:
    words = [f"{count(results['notes'], 'note')} in {count(len(results['parts']), 'part')}", clock(results["seconds"])]
    if results["bars"] is None:
        words.append("no steady beat")
    else:
        words.append(f"{count(results['bars'], 'bar')} of {results['meter']}")
        words.append(f"about {results['tempo']:.0f} quarter notes a minute")
    return ", ".join(words)


def _part_table(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [("", "notes", "pitches", "note confidence", "part confidence")]
    for part in parts:
        pitches = NOTHING
        if part["notes"]:
            pitches = f"{_pitch_name(part['lowest'])} to {_pitch_name(part['highest'])}"
        sure = (percent(part["note_confidence"]), percent(part["confidence"]))
        rows.append((part["name"], f"{part['notes']:,}", pitches, *sure))
    return text_table(rows)


def _pitch_name(pitch: int) -> str:
    """ "C4" of 60."""
    return f"{_TONES[pitch % 12]}{pitch // 12 - 1}"
