"""Loops over columns of numbers, compiled to machine code by numba when they are first called.

numba takes 0.3 s and 60 MB, so a process that calls no such loop does not import it. Compiled functions that call each other
lie in one file: numba's cache asks whether a function's own file has changed, not whether another has.
"""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """A function of arrays and numbers → the same, compiled; the machine code is kept on disk where that can be written."""
    return cast(F, _Compiled(function))


class _Compiled:
    """A function that is handed to numba when it is first called, and with it those that it may call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._dispatcher: Callable[..., Any] | None = None

    def __call__(self, *arguments: Any) -> Any:
        return (self._dispatcher or self.dispatcher())(*arguments)

    def dispatcher(self) -> Callable[..., Any]:
        """What numba makes of the function. In its module numba finds what it makes of the others, as it must to compile."""
        if self._dispatcher is None:
            self._dispatcher = _by_numba(self._function)
            names = self._function.__globals__
            names.update({name: it.dispatcher() for name, it in list(names.items()) if isinstance(it, _Compiled)})
        return self._dispatcher


def _by_numba(function: Callable[..., Any]) -> Callable[..., Any]:
    import numba

    try:
        return cast(Callable[..., Any], numba.njit(cache=True)(function))
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return cast(Callable[..., Any], numba.njit(function))
