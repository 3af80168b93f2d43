"""What a person asks of a piece, in words, as the vocabulary's values."""

import math
from collections import Counter
from difflib import get_close_matches

from analysis.errors import MeloError
from analysis.families import FAMILIES
from meloctl.generation.piece_writer import MOST_PITCHED
from meloctl.rows.general_midi import PROGRAMS
from meloctl.rows.vocabulary import Vocabulary

_MOST_WORDS = 64


def parts_of(text: str, vocabulary: Vocabulary) -> tuple[tuple[int, int], ...]:
    """(instrument, number) of each part that --instruments names: "piano,bass,drums", "violin,violin,viola,42".

    A name is General MIDI's, or that of one of its families, which stands for the family's first program; a number is a program,
    0 to 127. What is named twice is two parts.

    Raises:
        MeloError: no such instrument, none at all, or more than MIDI has channels for.
    """
    words = [word.strip().lower() for word in text.split(",")]
    if len(words) > _MOST_WORDS or not all(words):
        raise MeloError(f"--instruments {text[:60]!r}: give names or programs with commas between, as piano,bass,drums")
    found = [_instrument(word, vocabulary) for word in words]
    pitched = sum(instrument != vocabulary.drums for instrument in found)
    if pitched > MOST_PITCHED or len(found) - pitched > 1:
        raise MeloError(
            f"--instruments: {pitched} parts, and drums {len(found) - pitched} times; MIDI has room for {MOST_PITCHED} and for "
            "drums once beside them"
        )
    return tuple((instrument, n) for instrument, many in sorted(Counter(found).items()) for n in range(many))


def time_signature_of(text: str, vocabulary: Vocabulary) -> int:
    """Index of what --meter names, as 3/4. Raises MeloError for anything that rows cannot hold."""
    if text not in vocabulary.time_signatures:
        raise MeloError(
            f"--meter {text[:20]!r}: give a time signature of up to 16 quarters a bar, such as 4/4, 3/4 or 6/8"
        )
    return vocabulary.time_signatures.index(text)


def tempo_of(quarters: float, vocabulary: Vocabulary) -> int:
    """Index of the tempo nearest to what --tempo gives, in quarter notes a minute. Raises MeloError out of range."""
    lowest, highest = vocabulary.tempos[0], vocabulary.tempos[-1]
    if not lowest <= quarters <= highest:
        raise MeloError(f"--tempo {quarters:g}: give quarter notes a minute, {lowest:g} to {highest:g}")
    return nearest_tempo(quarters, vocabulary)


def nearest_tempo(quarters: float, vocabulary: Vocabulary) -> int:
    """Index of the nearest tempo, by ratio, of any number of quarter notes a minute above 0."""
    return min(range(len(vocabulary.tempos)), key=lambda i: abs(math.log(vocabulary.tempos[i] / quarters)))


def _instrument(word: str, vocabulary: Vocabulary) -> int:
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
    raise MeloError(f"--instruments {word[:40]!r}: no such instrument; {hint} A program number, 0 to 127, will do too")
