"""What a text for music must be, before anything reads it."""

import unicodedata

from analysis.errors import MeloError
from analysis.shown_text import escaped, shown_line

MOST_CHARACTERS = 500
"""A longer text is refused: the encoders average over all of it, so its words drown."""

_CONTROL = {"Cc", "Cs", "Cn", "Co"}
"""Unicode's categories of control characters, halves of characters, and what has no meaning."""


def checked_text(text: str) -> str:
    """A text as encoders and readers take it: on one line, without invisible characters.

    Raises:
        MeloError: it is empty, too long, without a letter, or holds control characters.
    """
    if not text.strip():
        raise MeloError(
            "the text is empty; say how the music should be, as in 'calm and slow' or '暴风雨'", field="text"
        )
    if len(text) > MOST_CHARACTERS:
        raise MeloError(
            f"{len(text):,} characters; give at most {MOST_CHARACTERS} (a sentence or two)", field="text", given=text
        )
    for character in text:
        if unicodedata.category(character) in _CONTROL:
            raise MeloError(
                f'holds the control character "{escaped(character)}"; give plain words',
                field="text",
                given=escaped(text),
            )
    if not any(character.isalpha() for character in text):
        raise MeloError("has no letters; say how the music should be, as in 'calm and slow'", field="text", given=text)
    return shown_line(text)


def is_text(text: str) -> bool:
    """Whether `checked_text` takes a text."""
    try:
        checked_text(text)
    except MeloError:
        return False
    return True
