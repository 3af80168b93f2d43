"""Loops over columns of numbers, compiled to machine code by numba when they are first called.

Modules with compiled functions are imported only where they work: numba takes 0.3 s and 60 MB. Compiled functions that call each
other lie in one file, since numba's cache asks whether a function's own file has changed, not whether another has.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """A function of arrays and numbers → the same, compiled; the machine code is kept on disk where that can be written."""
    import numba

    try:
        return cast(F, numba.njit(cache=True)(function))
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        return cast(F, numba.njit(function))
