#!/usr/bin/env bash
# torch 2.13.0 on a CPU; 2026-11-30.
# Expected: what has nothing to do with torch.compile does not load it. `import torch` leaves torch._dynamo out, and so do
#   models, losses and backward().
# Seen: making any optimizer, torch.optim.SGD too, imports torch._dynamo (with sympy, some 820 modules, about a second and 75 MB). On the meta
#   device, which is there to make models without their cost, nn.Embedding does (by normal_), and so does a sum of two
#   tensors; nn.Linear, empty and uniform_ do not. TORCHDYNAMO_DISABLE=1 changes nothing.
# To do: on meta give nn.Embedding its weight (_weight=torch.empty(rows, width, device="meta")), or make it on the CPU and move it; for an
#   optimizer import torch._dynamo beforehand, where a second is free, and keep optimizers out of commands that do not train.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
cat > count.py <<'PYTHON'
import json
import sys
import time

import torch


def resident():
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096 / 1e6
    except OSError:
        return float("nan")


weight = torch.nn.Parameter(torch.zeros(4, 4))
hollow = torch.empty(4, 4, device="meta")
before, memory, start = len(sys.modules), resident(), time.perf_counter()
exec(sys.argv[1])
print(json.dumps(["torch._dynamo" in sys.modules, len(sys.modules) - before, time.perf_counter() - start, resident() - memory]))
PYTHON
venv/bin/python -W ignore - <<'PYTHON'
import json
import os
import subprocess
import sys

WITHOUT = {
    "a step of training, but for the optimizer": "(torch.zeros(2, 4) @ weight).sum().backward()",
    "nn.Embedding": "torch.nn.Embedding(4, 4)",
    "nn.Linear on meta": "torch.nn.Linear(4, 4, device='meta')",
    "nn.Embedding on meta with a weight": "torch.nn.Embedding(4, 4, _weight=hollow)",
    "nn.Embedding moved to meta": "torch.nn.Embedding(4, 4).to('meta')",
}
WITH = {
    "SGD": "torch.optim.SGD([weight], lr=0.1)",
    "SGD, TORCHDYNAMO_DISABLE=1": "torch.optim.SGD([weight], lr=0.1)",
    "AdamW": "torch.optim.AdamW([weight])",
    "nn.Embedding on meta": "torch.nn.Embedding(4, 4, device='meta')",
    "nn.Embedding under torch.device('meta')": "with torch.device('meta'): torch.nn.Embedding(4, 4)",
    "a sum on meta": "hollow + hollow",
}
seen = {}
for name, line in (WITHOUT | WITH).items():
    environment = os.environ | ({"TORCHDYNAMO_DISABLE": "1"} if "DISABLE" in name else {})
    seen[name] = json.loads(subprocess.check_output([sys.executable, "-W", "ignore", "count.py", line], env=environment))
    dynamo, modules, seconds, memory = seen[name]
    print(f"{name}: torch._dynamo imported: {dynamo}; {modules} modules, {seconds:.2f} s, {memory:.0f} MB more")
as_described = all(not seen[name][0] and seen[name][1] < 50 for name in WITHOUT) and all(seen[name][0] and seen[name][1] > 300 for name in WITH)
sys.exit(0 if as_described else "changed: torch._dynamo is imported by other calls now")
PYTHON
