"""The one exception that means "the user can fix this"."""

import re
from os import PathLike, fspath
from typing import Any

from analysis.shown_text import escaped

_SHOWN = 60
"""Characters of a given text that an error repeats."""


class MeloError(Exception):
    """A mistake in what was given, in one line: what was given, what is allowed, what to do.

        MeloError("give 0 or more", field="far", given=-1)      ->  far -1: give 0 or more

    The library names its own parameters, never a flag: `field` is the parameter that is wrong, other parameters stand in the
    message in backticks, as in "`corpus` names a folder of MIDI" or "`meter 4/4`". The command line writes them as flags
    (`for_command_line`), prints the line and exits with status 1; any other exception that reaches the user is a bug.

    Args:
        message: what is allowed and what to do.
        field: the parameter that is wrong; None where it is a file or the whole.
        given: its value; left out where None.
    """

    def __init__(self, message: str, *, field: str | None = None, given: Any = None) -> None:
        super().__init__(message)
        self.message, self.field, self.given = message, field, None if given is None else _shown(given)

    def __str__(self) -> str:
        return _line(self.field, self.given, self.message)

    def for_command_line(self) -> str:
        """The same with parameters as flags: `keep_bars` is --keep-bars."""
        message = re.sub(r"`([a-z]\w*)((?: [^`]*)?)`", lambda found: flag(found[1]) + found[2], self.message)
        return _line(self.field and flag(self.field), self.given, message)


def flag(parameter: str) -> str:
    """The flag of a parameter: `keep_bars` → --keep-bars, `from_` (from is a word of Python's) → --from."""
    return "--" + parameter.rstrip("_").replace("_", "-")


def _line(field: str | None, given: str | None, message: str) -> str:
    named = " ".join(part for part in (field, given) if part)
    return escaped(f"{named}: {message}" if named else message)


def _shown(given: Any) -> str:
    """A value as an error repeats it: simple words and numbers as they are, other texts quoted and cut."""
    if isinstance(given, float):
        return f"{given:g}"
    if isinstance(given, PathLike):
        return str(fspath(given))
    if not isinstance(given, str):
        return str(given)
    return given if re.fullmatch(r"[\w.,:/#+-]{1,60}", given) else repr(given[:_SHOWN])
