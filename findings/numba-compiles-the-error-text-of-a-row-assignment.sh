#!/usr/bin/env bash
# numba 0.68.1 with numpy 2.4.6; 2026-11-30.
# Expected: under @njit `a[i, :] = b`, numpy's own way to set a row, costs about as much to compile as a loop that sets its numbers one by one.
# Seen: about 1.9 s of CPU time against 0.08 s, once in each process: the text of the error for unequal shapes, with the shapes in it, is compiled
#   too, 37 functions of numba's (str, repr, getattr, joined strings), and the LLVM code is eight times as long. a[i] = b is the same;
#   a[i, :] = 0.0 is not (0.06 s). A second such function in the process takes 0.2 s. The text came with numba's pull request 9076.
# To do: where start-up counts, write the loop over the numbers; the gain is there only if no function of the process sets a row so.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
cat > measure.py <<'PYTHON'
import json
import sys
import time

from numba import float32, njit
from numba.core import event

SIGNATURE = (float32[:, ::1], float32[::1])


def seconds(line):
    """CPU seconds to compile a loop over rows with this line in it, the functions compiled, and the characters of LLVM code."""
    scope = {}
    exec(f"def function(a, b):\n    for i in range(a.shape[0]):\n        {line}", scope)
    function = njit(scope["function"])
    with event.install_recorder("numba:compile") as recorder:
        start = time.process_time()
        function.compile(SIGNATURE)
        spent = time.process_time() - start
    names = [what.data["dispatcher"].py_func.__module__ for _, what in recorder.buffer if what.is_start]
    return spent, len(names), "numba.cpython.unicode" in names, len(function.inspect_llvm()[function.signatures[0]])


seconds("for j in range(b.size): a[i, j] = 2 * b[j]")  # so that the compiler itself is loaded
print(json.dumps([seconds(sys.argv[1]), seconds(sys.argv[1])]))
PYTHON
venv/bin/python - <<'PYTHON'
import json
import statistics
import subprocess
import sys

LOOP, NUMBER = "for j in range(b.size): a[i, j] = b[j]", "a[i, :] = 0.0"
ROWS = ["a[i, :] = b", "a[i] = b"]
runs = {line: [] for line in (LOOP, NUMBER, *ROWS)}
for _ in range(3):
    for line, seen in runs.items():
        seen.append(json.loads(subprocess.check_output([sys.executable, "measure.py", line])))
cost = {}
for line, seen in runs.items():
    cost[line] = statistics.median(first[0] for first, _ in seen)
    again = statistics.median(second[0] for _, second in seen)
    _, functions, text, length = seen[0][0]
    print(f"{line}: {cost[line]:.2f} s, then {again:.2f} s; {functions} functions, of strings too: {text}; {length} characters of LLVM code")
print(f"{ROWS[0]} takes {cost[ROWS[0]] / cost[LOOP]:.0f} times as long as the loop")
as_described = all(cost[line] > 3 * cost[plain] and runs[line][0][0][2] for line in ROWS for plain in (LOOP, NUMBER))
as_described &= not any(runs[plain][0][0][2] for plain in (LOOP, NUMBER))
sys.exit(0 if as_described else "changed: rows compile as fast as loops now")
PYTHON
