#!/usr/bin/env bash
# numba 0.68.1 with numpy 2.4.6; 2026-11-30.
# Expected: structured arrays may hold booleans in every place where they may hold uint8, since each alone works: a boolean as a field, a
#   boolean in a record within the record, an array of uint8 as a field, and arrays of booleans outside records.
# Seen: a field that is an array of booleans, ("f", "?", (3,)), ends in AttributeError: 'Boolean' object has no attribute 'bitwidth' (not
#   one of numba's own errors, and with no line of the function in it), be it only to take len() of such an array. Arrays of datetimes and
#   of strings within a record do the same. It is issue 10235 of numba.
# To do: declare the field "u1", or give the function array.view(that dtype), which has the same bytes.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import sys

import numpy as np
from numba import njit

kinds = {
    "a boolean": [("n", "i4"), ("f", "?")],
    "a record with a boolean": [("n", "i4"), ("f", [("b", "?")])],
    "three uint8": [("n", "i4"), ("f", "u1", (3,))],
    "three booleans": [("n", "i4"), ("f", "?", (3,))],
    "three datetimes": [("n", "i4"), ("f", "M8[s]", (3,))],
    "three strings": [("n", "i4"), ("f", "S4", (3,))],
}


def answer(function, array):
    try:
        return int(function(array))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


seen = {}
for name, fields in kinds.items():
    seen[name] = answer(njit(lambda records: len(records)), np.zeros(2, fields))
    print(f"len of two records with a number and {name}: {seen[name]}")
flags = np.zeros(2, kinds["three booleans"])
flags["f"][1] = [False, True, True]
seen["viewed"] = answer(njit(lambda records: records[1]["f"].sum()), flags.view(kinds["three uint8"]))
print(f"sum of the booleans False, True, True, viewed as uint8: {seen['viewed']}")
missing = "AttributeError: '{}' object has no attribute 'bitwidth'"
as_described = list(seen.values()) == [2, 2, 2, *(missing.format(name) for name in ("Boolean", "NPDatetime", "CharSeq")), 2]
sys.exit(0 if as_described else "changed: other records compile now")
PYTHON
