"""Memory and time of training: --checkpointing and --shard against neither, on composed pieces.

    python benchmarks/train_memory.py [--size tiny] [--rows 2048] [--steps 3] [--json]

Each variant is trained in processes of its own, one thread each: alone without and with checkpointing, then two gloo ranks with
DDP and with FSDP. Peak memory is that of the first rank above what it held after its imports; seconds are its CPU time per
step (forward, backward, AdamW) on one pack, so other work on the machine hardly counts. Products are in float32.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

VARIANTS: dict[str, dict[str, Any]] = {
    "one process": {"ranks": 1, "checkpointing": False, "shard": False},
    "one process, --checkpointing": {"ranks": 1, "checkpointing": True, "shard": False},
    "two processes": {"ranks": 2, "checkpointing": False, "shard": False},
    "two processes, --shard": {"ranks": 2, "checkpointing": False, "shard": True},
    "two processes, --shard --checkpointing": {"ranks": 2, "checkpointing": True, "shard": True},
}


def measure(size: str, rows: int, steps: int, *, checkpointing: bool, shard: bool) -> dict[str, float] | None:
    """Peak memory above the imports (bytes) and CPU seconds per step of this process; None on all ranks but the first."""
    import numpy as np
    import psutil  # type: ignore[import-untyped]
    import torch

    from masks.spec import MaskSpec
    from meloctl.corpus.composer.compose import compose_piece
    from meloctl.dataset.stream import PackStream
    from meloctl.dataset.windows import windows
    from meloctl.model.config import PRESETS
    from meloctl.model.registry import build
    from meloctl.rows.codec import encode
    from meloctl.rows.vocabulary import default_vocabulary
    from meloctl.training import processes
    from meloctl.training.distributed_packs import DistributedPacks
    from meloctl.training.options import TrainConfig
    from meloctl.training.train_step import make_train_state, optimizer_step, step_layout

    processes.computes_in_half = lambda _: False
    torch.set_num_threads(1)
    accelerator = processes.start_accelerator()
    vocabulary, sizes = default_vocabulary(), PRESETS[size]
    before = psutil.Process().memory_info().rss
    pieces = [encode(compose_piece(np.random.default_rng(i)), vocabulary)[0] for i in range(12)]
    chosen = windows(pieces, sizes.context, vocabulary)
    packs = accelerator.num_processes
    settings = {"packs": packs, "pack_rows": rows, "checkpointing": checkpointing}
    config = TrainConfig(seed=0, learning_rate=1e-3, minutes=1.0, **settings)
    torch.manual_seed(0)
    model = build("meloformer", sizes, vocabulary, MaskSpec(same="full", near=2, far=(4,), summaries=True))
    state = make_train_state(model, config, accelerator, shard=shard)
    state.wrapped.train()
    stream = PackStream(chosen, rows, vocabulary, seed=0)
    distributed = DistributedPacks(stream, chosen, packs=packs, accelerator=accelerator, length=None)
    seconds = []
    for step in range(steps + 1):
        batch = step_layout(state.model)(distributed.step_batch(step))
        began = time.process_time()
        optimizer_step(state, batch, config, rate=1e-3)
        seconds.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before  # Linux counts in kilobytes
    first = accelerator.is_main_process
    processes.end_processes(accelerator)
    return {"peak_bytes": peak, "seconds_per_step": float(np.median(seconds[1:]))} if first else None


def run_variant(size: str, rows: int, steps: int, *, ranks: int, checkpointing: bool, shard: bool) -> dict[str, float]:
    """`measure` in processes of their own; what the first rank found."""
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"] if ranks > 1 else []
    worker = {"size": size, "rows": rows, "steps": steps, "checkpointing": checkpointing, "shard": shard}
    command = [sys.executable, *launch, str(Path(__file__)), "--worker", json.dumps(worker)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="tiny", help="of the model (default: tiny)")
    parser.add_argument("--rows", type=int, default=2048, help="of a pack (default: 2048)")
    parser.add_argument("--steps", type=int, default=3, help="that are timed, after one that warms up (default: 3)")
    parser.add_argument("--json", action="store_true", help="one object, for programs")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        if found := measure(**json.loads(given.worker)):
            print(json.dumps(found))
        return
    found: dict[str, Any] = {}
    for name, variant in VARIANTS.items():
        found[name] = run_variant(given.size, given.rows, given.steps, **variant)
        print(f"{name} done", file=sys.stderr, flush=True)
    if given.json:
        print(json.dumps(found))
        return
    print(f"{given.size}, packs of {given.rows:,} rows, one thread")
    for name, one in found.items():
        print(f"{name:40}{one['peak_bytes'] / 1e6:8,.0f} MB{one['seconds_per_step']:8.2f} s of CPU a step")


if __name__ == "__main__":
    main()
