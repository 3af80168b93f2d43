#!/usr/bin/env bash
# torch 2.13.0 on a CPU, torch.optim.Muon; 2026-11-30.
# Expected: a step for weights in float32 or float64 is computed in that precision (torch.get_float32_matmul_precision() is "highest"), as
#   AdamW's is; nothing in Muon's documentation speaks of bf16. A gradient of rank 1, as one example makes it, gives a step of rank 1.
# Seen: the gradient is cast to bf16 before it is orthogonalized. Every number of a step for float64 weights is a bf16 number, the same as
#   for float32, and 2 % from the step in float64 for a gradient of full rank. Of a gradient of rank 1 the rounding is orthogonalized
#   with it: the step has a second singular value nearly as large as the first (0.50 beside 0.70, instead of 0), and is further
#   from the right step than that is long. In float32 the same iteration is right to 1e-4.
# To do: where batches are small, gradients of low rank, or digits compared, write the iteration out (five lines, below) in float32; no
#   argument sets its precision.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT; cd "$folder"
python3 -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
venv/bin/python -W ignore - <<'PYTHON'
import sys

import torch

torch.set_num_threads(1)
SIZE = 64


def in_precision(gradient, kind):
    """Muon's iteration of a square gradient, its five steps with its coefficients, in this precision."""
    x = gradient.to(kind)
    x = x / x.norm()
    for _ in range(5):
        y = x @ x.T
        x = 3.4445 * x + (-4.775 * y + 2.0315 * y @ y) @ x
    return x.double()


def by_muon(gradient, kind):
    """The step of torch.optim.Muon at rate 1 for weights of this kind."""
    weight = torch.nn.Parameter(torch.zeros(SIZE, SIZE, dtype=kind))
    weight.grad = gradient.to(kind)
    torch.optim.Muon([weight], lr=1.0, weight_decay=0.0).step()
    return -weight.detach().double()


seen = []
for rank in (SIZE, 1):
    torch.manual_seed(0)
    gradient = torch.randn(SIZE, rank, dtype=torch.float64) @ torch.randn(rank, SIZE, dtype=torch.float64)
    right, single = in_precision(gradient, torch.float64), in_precision(gradient, torch.float32)
    steps = {kind: by_muon(gradient, kind) for kind in (torch.float32, torch.float64)}
    step = steps[torch.float64]
    same = torch.equal(step, steps[torch.float32])
    all_bf16 = torch.equal(step, step.bfloat16().double())
    error, single_error = (float((x - right).norm() / right.norm()) for x in (step, single))
    first, second = torch.linalg.svdvals(step)[:2].tolist()
    should = torch.linalg.svdvals(right)[1].item()
    print(f"gradient of rank {rank}: float64 weights step as float32 ones do: {same}; all numbers are bf16's: {all_bf16}; error of Muon"
          f" {error:.3f}, of float32 {single_error:.1e}; singular values {first:.2f}, {second:.2f}, ...; the second in float64: {should:.2f}")
    seen.append((same, all_bf16, single_error < 1e-3, error, second, should))
full, one = seen
as_described = all(full[:3]) and all(one[:3]) and full[3] > 0.005 and one[3] > 0.5 and one[4] > 0.2 and one[5] < 0.001
sys.exit(0 if as_described else "changed: Muon computes in another precision now")
PYTHON
