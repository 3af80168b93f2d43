#!/usr/bin/env bash
# numba 0.68.1 with numpy 2.4.6; 2026-11-30.
# Expected: rows of a C-contiguous array are contiguous however they are named, x[a:b] or x[a:b, :]; .ravel() of them is a view, so that
#   x[a:b, :].ravel()[:] = 0 clears two rows of four numbers, and .reshape(-1) does too. So it is in numpy.
# Seen: under @njit x[a:b, :].ravel()[:] = 0 clears nothing, without a word, and .reshape(-1) does not compile ("reshape() supports contiguous
#   array only"). A slice behind another slice, even a bare colon, makes the type non-contiguous ("A"), and so does a step
#   of 1; then ravel copies. x[a:b], x[a:b, ...], x[i] and x[i, a:b] stay "C". Issue 5124 of numba is about these types.
# To do: leave trailing colons (and steps of 1) out of what numba compiles, or write `...` for them; np.ascontiguousarray is a view too
#   where the numbers do lie in a row.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import sys

import numpy as np
from numba import njit

SLICES = ["x[0:2]", "x[0:2, ...]", "x[0:2, :]", "x[:, :]", "x[1, 0:3]", "x[1, 0:3:1]", "y[1]", "y[1, 0:2]", "y[1, :, :]", "y[1, 0:2, :]"]


def compiled(body):
    """The function of x (4, 4) and y (2, 4, 4) with this body, as Python and under njit."""
    scope = {}
    exec(f"import numpy as np\ndef function(x, y):\n    {body}", scope)
    return scope["function"], njit(scope["function"])


def cleared(function):
    """How many numbers a function sets to 0."""
    x, y = np.ones((4, 4)), np.ones((2, 4, 4))
    try:
        function(x, y)
    except Exception as error:
        return "reshape() supports contiguous" if "reshape() supports contiguous array only" in str(error) else repr(error)
    return int((x == 0).sum() + (y == 0).sum())


seen = {}
for part in SLICES:
    python, numba = compiled(f"return {part}")
    layout = numba(np.ones((4, 4)), np.ones((2, 4, 4))) is not None and numba.nopython_signatures[0].return_type.layout
    contiguous = bool(python(np.ones((4, 4)), np.ones((2, 4, 4))).flags.c_contiguous)
    ravel = [cleared(function) for function in compiled(f"{part}.ravel()[:] = 0")]
    reshape = [cleared(function) for function in compiled(f"{part}.reshape(-1)[:] = 0")]
    in_a_row = [cleared(function) for function in compiled(f"np.ascontiguousarray({part})[:] = 0")]
    seen[part] = contiguous, layout, ravel, reshape, in_a_row
    print(f"{part}: contiguous in numpy: {contiguous}; layout in numba: {layout}; cleared by numpy and by numba: through ravel {ravel[0]} and"
          f" {ravel[1]}, reshape {reshape[0]} and {reshape[1]}, ascontiguousarray {in_a_row[0]} and {in_a_row[1]}")
numbers = dict(zip(SLICES, (8, 8, 8, 16, 3, 3, 16, 8, 16, 8)))
copied = {"x[0:2, :]", "x[:, :]", "x[1, 0:3:1]", "y[1, :, :]", "y[1, 0:2, :]"}
as_described = all(
    seen[part] == (True, "A", [n, 0], [n, "reshape() supports contiguous"], [n, n])
    if part in copied
    else seen[part] == (True, "C", [n, n], [n, n], [n, n])
    for part, n in numbers.items()
)
sys.exit(0 if as_described else "changed: slices have other layouts now")
PYTHON
