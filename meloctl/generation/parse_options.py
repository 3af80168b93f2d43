"""Options of `meloctl generate` that are words, as values of the vocabulary: instruments, meter, tempo, key, bars and parts."""

import re
from collections import Counter
from difflib import get_close_matches

import numpy as np

from analysis.errors import MeloError
from analysis.families import FAMILIES
from analysis.piece import Piece
from meloctl.generation.constraints import MOST_PITCHED, Constraints
from meloctl.generation.options import GenerateOptions
from meloctl.rows.codec import nearest_tempo
from meloctl.rows.general_midi import PROGRAMS, instrument_name
from meloctl.rows.parts import PartId, part_ids, part_names
from meloctl.rows.vocabulary import Vocabulary
from meloctl.score.key import parse_key

_MOST_WORDS = 64


def parse_constraints(options: GenerateOptions, vocabulary: Vocabulary) -> Constraints:
    """What the new bars must be. Raises MeloError for an option that names nothing."""
    return Constraints(
        bars=options.new_bars,
        parts=None if options.instruments is None else parse_instruments(options.instruments, vocabulary),
        time_signature=None if options.meter is None else parse_meter(options.meter, vocabulary),
        tempo=None if options.tempo is None else parse_tempo(options.tempo, vocabulary),
        key=None if options.key is None else parse_key(options.key),
    )


def parse_instruments(text: str, vocabulary: Vocabulary) -> tuple[PartId, ...]:
    """Parts from names of instruments: "piano,bass,drums", "violin,violin,viola,42"; one that is named twice is two parts.

    A name is General MIDI's, or that of one of its families, which stands for the family's first program; a number is a program,
    0 to 127.

    Raises:
        MeloError: no such instrument, none at all, or more than MIDI has channels for.
    """
    words = [word.strip().lower() for word in text.split(",")]
    if len(words) > _MOST_WORDS or not all(words):
        raise MeloError(
            "give names or programs with commas between, as piano,bass,drums", field="instruments", given=text
        )
    found = [_instrument(word, vocabulary) for word in words]
    pitched = sum(instrument != vocabulary.drums for instrument in found)
    if pitched > MOST_PITCHED or len(found) - pitched > 1:
        raise MeloError(
            f"{pitched} parts, and drums {len(found) - pitched} times; MIDI has room for {MOST_PITCHED} and for drums "
            "once beside them",
            field="instruments",
        )
    return tuple((instrument, n) for instrument, count in sorted(Counter(found).items()) for n in range(count))


def parse_meter(text: str, vocabulary: Vocabulary) -> int:
    """Index of a time signature, "3/4". Raises MeloError for anything that rows cannot hold."""
    if text not in vocabulary.time_signatures:
        raise MeloError(
            "give a time signature of up to 16 quarters a bar, such as 4/4, 3/4 or 6/8", field="meter", given=text
        )
    return vocabulary.time_signatures.index(text)


def parse_tempo(quarters: float, vocabulary: Vocabulary) -> int:
    """Index of the tempo nearest to so many quarter notes a minute. Raises MeloError out of range."""
    lowest, highest = vocabulary.tempos[0], vocabulary.tempos[-1]
    if not lowest <= quarters <= highest:
        raise MeloError(f"give quarter notes a minute, {lowest:g} to {highest:g}", field="tempo", given=quarters)
    return int(nearest_tempo(np.array(quarters), vocabulary))


def parse_bars_range(text: str, n_bars: int) -> range:
    """Bars from 0 of a range of bars as musicians write it, from 1 and with both ends: "9:16", or "9" alone.

    Args:
        n_bars: of the file.

    Raises:
        MeloError: no such bars.
    """
    match = re.fullmatch(r"\s*(\d{1,6})\s*(?:[:-]\s*(\d{1,6})\s*)?", text, re.ASCII)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= n_bars:
        raise MeloError(
            f"give the first and the last bar to replace, as 9:16; the file has bars 1 to {n_bars}",
            field="bars_range",
            given=text,
        )
    return range(first - 1, last)


def parse_infill_parts(text: str, piece: Piece, vocabulary: Vocabulary) -> tuple[PartId, ...]:
    """Parts of a piece by their names, or all that play an instrument ("violin", "strings", "40", "drums"); an instrument that
    the piece lacks is a new part.

    Raises:
        MeloError: no such part or instrument.
    """
    words = _words(text)
    if len(words) > _MOST_WORDS or not all(words):
        raise MeloError(
            f"give names of parts with commas between, such as {_listed_parts(piece)}", field="parts", given=text
        )
    ids = part_ids(piece.parts, vocabulary)
    found: set[PartId] = set()
    for word in _joined_names(words, piece):
        matching = _matching_parts(word, piece)
        found |= {ids[i] for i in matching} if matching else _new_part(word, piece, vocabulary)
    return tuple(sorted(found))


def _words(text: str) -> list[str]:
    return [" ".join(word.lower().split()) for word in text.split(",")]


def _joined_names(words: list[str], piece: Piece) -> list[str]:
    """Words, those put together again that are the name of a part with commas in it."""
    names = [_words(name) for name in part_names(piece)]
    found = []
    while words:
        n = max((len(name) for name in names if words[: len(name)] == name), default=1)
        found.append(",".join(words[:n]))
        words = words[n:]
    return found


def _matching_parts(word: str, piece: Piece) -> list[int]:
    """Indices of the parts of that name, else of those of that instrument, program or family."""
    by_name = [",".join(_words(name)) for name in part_names(piece)]
    by_instrument = [instrument_name(part.program, part.is_drum) for part in piece.parts]
    by_program = [None if part.is_drum else str(part.program) for part in piece.parts]
    by_family = [None if part.is_drum else FAMILIES[part.program // 8] for part in piece.parts]
    for names in (by_name, by_instrument, by_program, by_family):
        if found := [i for i, name in enumerate(names) if name == word]:
            return found
    return []


def _new_part(word: str, piece: Piece, vocabulary: Vocabulary) -> set[PartId]:
    try:
        return set(parse_instruments(word, vocabulary))
    except MeloError as error:
        raise MeloError(
            f"no such part; the file has {_listed_parts(piece)}. To add one, name its instrument, such as bass",
            field="parts",
            given=word,
        ) from error


def _listed_parts(piece: Piece) -> str:
    """Names of the piece's parts, for people."""
    names = part_names(piece)
    return ", ".join(names[:12]) + (" and more" if len(names) > 12 else "")


def _instrument(word: str, vocabulary: Vocabulary) -> int:
    """The instrument of a name, a family's name or a program number."""
    if word == "drums":
        return vocabulary.drums
    if word.isascii() and word.isdigit() and int(word[:4]) < len(PROGRAMS):
        return vocabulary.instrument_of(int(word), is_drum=False)
    if word in PROGRAMS:
        return vocabulary.instrument_of(PROGRAMS.index(word), is_drum=False)
    if word in FAMILIES:
        return vocabulary.instrument_of(8 * FAMILIES.index(word), is_drum=False)
    containing = [name for name in PROGRAMS if word in name]
    near = containing or get_close_matches(word, [*PROGRAMS, *FAMILIES], n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near[:4])}?" if near else "see General MIDI's names, such as violin"
    raise MeloError(
        f"no such instrument; {hint} A program number, 0 to 127, will do too", field="instruments", given=word
    )
