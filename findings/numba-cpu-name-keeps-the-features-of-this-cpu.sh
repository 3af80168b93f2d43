#!/usr/bin/env bash
# numba 0.68.1, on a CPU with AVX-512; 2026-11-30.
# Expected: NUMBA_CPU_NAME=haswell makes code for a Haswell (AVX2, no AVX-512), as NUMBA_CPU_NAME=generic makes code for any CPU of the
#   kind: its documentation says that the list of features is empty then.
# Seen: the name is haswell and the features are still those of the CPU that it runs on: the code has AVX-512 instructions (zmm registers).
#   The list is empty for the name "generic" alone. So a test "as on an older CPU" tests nothing of the sort.
# To do: set both, NUMBA_CPU_NAME=haswell and NUMBA_CPU_FEATURES= (empty: what LLVM knows of a Haswell, AVX2 among it).
set -euo pipefail
grep -q avx512f /proc/cpuinfo 2>/dev/null || { echo "this CPU has no AVX-512: nothing can be seen"; exit 77; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
cat > compile.py <<'PYTHON'
import json

import numpy as np
from numba import njit
from numba.core.registry import cpu_target


@njit(fastmath=True)
def squares(x):
    total = 0.0
    for k in range(x.size):
        total += x[k] * x[k]
    return total


squares(np.ones(100))
name, features = cpu_target.target_context.codegen().magic_tuple()[1:3]
code = "".join(squares.inspect_asm().values())
print(json.dumps([name, "+avx512f" in features.split(","), "zmm" in code, "ymm" in code]))
PYTHON
venv/bin/python - <<'PYTHON'
import json
import os
import subprocess
import sys

settings = {
    "CPU_NAME=generic": {"NUMBA_CPU_NAME": "generic"},
    "CPU_NAME=haswell": {"NUMBA_CPU_NAME": "haswell"},
    "CPU_NAME=haswell, CPU_FEATURES empty": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""},
}
plain = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
seen = {}
for name, setting in settings.items():
    seen[name] = json.loads(subprocess.check_output([sys.executable, "compile.py"], env=plain | setting))
    cpu, feature, zmm, ymm = seen[name]
    print(f"{name}: code for {cpu}, AVX-512 among the features: {feature}, zmm in the code: {zmm}, ymm: {ymm}")
generic, named, both = seen.values()
as_described = generic[:3] == ["generic", False, False] and named[:3] == ["haswell", True, True] and both == ["haswell", False, False, True]
sys.exit(0 if as_described else "changed: the name brings other features now")
PYTHON
