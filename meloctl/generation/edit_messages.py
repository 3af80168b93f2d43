"""What of a file is not kept, or changes beside the notes that are written, in words: one line a kind, with counts."""

from collections.abc import Mapping

from analysis.midi_container import Wrapper
from meloctl.formatting import count, listed
from meloctl.score.join_notes import EditedMidi
from meloctl.score.kept_music import KeptMusic


def container_messages(wrapper: Wrapper) -> list[str]:
    """What stands around the MIDI file in a RIFF file and is not written again."""
    lines = []
    if wrapper.other_chunks:
        lines.append(f"Not kept, for the new file is plain MIDI: {_in_words(wrapper.other_chunks)} of the RIFF file")
    if wrapper.further_files:
        lines.append(f"Not kept: {count(wrapper.further_files, 'MIDI file')} behind the first in the RIFF file")
    return lines


def kept_messages(kept: KeptMusic, bars: int | None) -> list[str]:
    """What goes with the bars behind a cut, and what changes so that the kept music sounds as before.

    Args:
        bars: that are kept from the start; None for an infill.
    """
    lines = []
    if kept.left_out:
        lines.append(f"Left out behind bar {bars}: {_in_words(kept.left_out)}")
    if kept.released:
        lines.append(f"Released at the end of bar {bars}: {_in_words(kept.released)}")
    if kept.struck_again:
        held = count(kept.struck_again, "note")
        lines.append(
            f"Held from the replaced bars into kept ones: {held}, struck again at the bar line to keep their sound"
        )
    if kept.given_up:
        cut = count(kept.given_up, "note")
        lines.append(f"Held from the replaced bars into kept ones, but ended there, for the program has changed: {cut}")
    if kept.replaced_by_kept:
        cut = count(kept.replaced_by_kept, "note")
        lines.append(
            f"Held from the replaced bars into kept ones, but ended there, for kept notes play their keys: {cut}"
        )
    if kept.ended:
        lines.append(f"Given a note-off of their own, since what ended them goes or moves: {count(kept.ended, 'note')}")
    return lines


def edited_messages(edited: EditedMidi) -> list[str]:
    """What was found out, or had to change beside the new notes, only when these were known."""
    lines = []
    if edited.other_patch:
        played = count(edited.other_patch, "new note")
        lines.append(f"Played with the program in force, for no channel was free for their part's own: {played}")
    if edited.shortened:
        lines.append(f"Held beyond the last new bar, and ended with it: {count(edited.shortened, 'kept note')}")
    if edited.behind_end:
        lines.append(f"Left out behind the last new bar: {_in_words(edited.behind_end)}")
    if edited.released:
        lines.append(f"Released where the new bars begin, on their channels: {_in_words(edited.released)}")
    return lines


def _in_words(counts: Mapping[str, int]) -> str:
    """Counts of things, the most frequent first: "2 lyrics and 1 marker"."""
    return listed([count(n, name) for name, n in sorted(counts.items(), key=lambda item: -item[1])])
