"""What of a piece is to be written anew, in words: which bars, which parts."""

import re

from analysis.errors import MeloError
from analysis.families import FAMILIES
from analysis.piece import Piece
from meloctl.generation.parse_options import parts_of
from meloctl.rows.general_midi import instrument_name
from meloctl.rows.parts import part_fields, part_names
from meloctl.rows.vocabulary import Vocabulary

_MOST_WORDS = 64


def bars_of(text: str, n_bars: int) -> range:
    """Bars from 0 that --bars-range names as musicians count them, from 1, both ends meant: "9:16", or "9" alone.

    Raises:
        MeloError: no such bars.
    """
    match = re.fullmatch(r"\s*(\d{1,6})\s*(?:[:-]\s*(\d{1,6})\s*)?", text, re.ASCII)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= n_bars:
        raise MeloError(
            f"--bars-range {text[:40]!r}: give the first and the last bar to write anew, as 9:16; the file has bars 1 to {n_bars}"
        )
    return range(first - 1, last)


def gap_parts_of(text: str, piece: Piece, vocabulary: Vocabulary) -> tuple[tuple[int, int], ...]:
    """(instrument, number) of the parts that --parts names: those of the piece, by their names, or by instrument ("violin",
    "strings", "40", "drums"), where all that play it are meant; an instrument that the piece lacks is a new part of it.

    Raises:
        MeloError: no such part or instrument.
    """
    words = [" ".join(word.lower().split()) for word in text.split(",")]
    if len(words) > _MOST_WORDS or not all(words):
        raise MeloError(f"--parts {text[:60]!r}: give names of parts with commas between, such as {_having(piece)}")
    instrument, number = part_fields(piece.parts, vocabulary)
    fields = list(zip(instrument.tolist(), number.tolist(), strict=True))
    found: set[tuple[int, int]] = set()
    for word in words:
        mine = _matching(word, piece)
        found |= {fields[i] for i in mine} if mine else _new(word, piece, vocabulary)
    return tuple(sorted(found))


def _matching(word: str, piece: Piece) -> list[int]:
    """Parts of that name, else those of that instrument, else those of that family."""
    names = [name.lower() for name in part_names(piece)]
    played = [instrument_name(part.program, part.is_drum) for part in piece.parts]
    number = [None if part.is_drum else str(part.program) for part in piece.parts]
    family = [None if part.is_drum else FAMILIES[part.program // 8] for part in piece.parts]
    for told in (names, played, number, family):
        if found := [i for i, name in enumerate(told) if name == word]:
            return found
    return []


def _new(word: str, piece: Piece, vocabulary: Vocabulary) -> set[tuple[int, int]]:
    try:
        return set(parts_of(word, vocabulary))
    except MeloError as error:
        raise MeloError(
            f"--parts {word[:40]!r}: no such part; the file has {_having(piece)}. To add one, name its instrument, such as bass"
        ) from error


def _having(piece: Piece) -> str:
    """The piece's parts, for people."""
    names = part_names(piece)
    return ", ".join(names[:12]) + (" and more" if len(names) > 12 else "")
