#!/usr/bin/env bash
# torch 2.13.0 (its oneDNN) on a CPU that has bf16 instructions; 2026-11-30.
# Expected: 900 products of (n, 384) by (384, 1536) in bfloat16, n from 1,000 to 1,899, leave hardly more memory in use than 900
#   products of one shape, since every result is dropped at once.
# Seen: after products of one shape 7 MB more are in use, after products of 900 shapes 4,010 MB. oneDNN makes a kernel for each new
#   shape and keeps the latest 1,024 of them. In float32 (MKL) nothing is kept (50 and 37 MB).
# To do: pad the rows of products to few sizes (multiples of 64, say), or set ONEDNN_PRIMITIVE_CACHE_CAPACITY.
set -euo pipefail
grep -q avx512_bf16 /proc/cpuinfo 2>/dev/null || { echo "this CPU has no bf16 instructions: nothing can be seen"; exit 77; }
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > grow.py <<'PYTHON'
import sys

import torch

torch.set_num_threads(1)
shapes, kind = sys.argv[1], getattr(torch, sys.argv[2])
weight = torch.randn(1536, 384).to(kind)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def products(sizes):
    for n in sizes:
        torch.nn.functional.linear(torch.zeros(n, 384, dtype=kind), weight)


products([1000, 1899])
before = resident()
products(range(1000, 1900) if shapes == "many" else [1899] * 900)
print(round(resident() - before))
PYTHON
venv/bin/python - <<'PYTHON'
import subprocess
import sys

seen = {
    (shapes, kind): int(subprocess.check_output([sys.executable, "grow.py", shapes, kind]))
    for kind in ("bfloat16", "float32")
    for shapes in ("one", "many")
}
for (shapes, kind), grown in seen.items():
    print(f"900 products in {kind}, {shapes} shape(s): {grown} MB more than before")
as_described = seen["many", "bfloat16"] > 5 * max(10, seen["one", "bfloat16"], seen["many", "float32"])
sys.exit(0 if as_described else "changed: memory no longer grows with the number of shapes")
PYTHON
