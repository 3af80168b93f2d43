"""Loops over columns of numbers, compiled to machine code by numba when they are first called.

numba takes 0.3 s and 60 MB, so a process that calls no such loop does not import it. Compiled functions that call each other
lie in one file: numba's cache asks whether a function's own file has changed, not whether another has.
"""

import sys
from collections.abc import Callable
from functools import cache, update_wrapper
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """A function of arrays and numbers → the same, compiled; the machine code is kept on disk where that can be written."""
    return cast(F, _Compiled(function))


_ANY_ORDER = {"reassoc", "nsz", "arcp", "contract", "afn"}


def compiled_arithmetic(function: F) -> F:
    """The same for sums of float32: they are taken in any order, NaN stays NaN, and other threads run meanwhile."""
    return cast(F, _Compiled(function, fastmath=_ANY_ORDER, nogil=True))


def compiled_without_nan(function: F) -> F:
    """The same for numbers among which is no NaN, so that the highest can be sought in any order."""
    return cast(F, _Compiled(function, fastmath={*_ANY_ORDER, "nnan"}, nogil=True))


class _Compiled:
    """A function that is handed to numba when it is first called, and with it those that it may call."""

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        update_wrapper(self, function)
        self._function, self._options = function, options
        self._dispatcher: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        return (self._dispatcher or self.dispatcher())(*arguments)

    def dispatcher(self) -> Callable[..., Any]:
        """What numba makes of the function. In its module numba finds what it makes of the others, as it must to compile."""
        if self._dispatcher is None:
            self._dispatcher = _by_numba(self._function, self._options)
            names = self._function.__globals__
            names.update({name: it.dispatcher() for name, it in list(names.items()) if isinstance(it, _Compiled)})
        return self._dispatcher


class CompiledBy(_Compiled):
    """A function for compiled ones alone, which `make` makes when the first of them is called."""

    def __init__(self, make: Callable[[], Callable[..., Any]]) -> None:
        self._make = make
        self._dispatcher = None

    def dispatcher(self) -> Callable[..., Any]:
        """What compiled functions call."""
        if self._dispatcher is None:
            self._dispatcher = self._make()
        return self._dispatcher


def _by_numba(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    import numba

    try:
        dispatcher = cast(Callable[..., Any], numba.njit(cache=True, **options)(function))
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return cast(Callable[..., Any], numba.njit(**options)(function))
    kept = getattr(dispatcher, "_cache", None)  # private to numba, whose calls fail where code cannot be kept
    if kept is not None:  # None where NUMBA_DISABLE_JIT has it that nothing is compiled
        kept.save_overload = _saved_if_possible(kept.save_overload)
    return dispatcher


def _saved_if_possible(save: Callable[..., None]) -> Callable[..., None]:
    """Saving machine code, without which all runs too: a full disk is said, and ends nothing."""

    def save_or_say(*arguments: Any) -> None:
        try:
            save(*arguments)
        except OSError as error:
            _say(f"Compiled code is not kept, and is compiled again next time: {error.strerror or error}")

    return save_or_say


@cache
def _say(line: str) -> None:
    """Say something once a process."""
    print(line, file=sys.stderr, flush=True)
