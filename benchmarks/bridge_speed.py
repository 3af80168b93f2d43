"""CPU seconds of making plans with an untrained bridge of the default sizes, one thread: python benchmarks/bridge_speed.py"""

import time

import numpy as np
import torch

from meloctl.bridge.bar_conditions import BarConditions
from meloctl.bridge.bridge_network import BridgeNetwork, BridgeSizes
from meloctl.bridge.bridge_sampler import sample_plans
from meloctl.bridge.bridge_schedule import BridgeSchedule

ROUNDS = 5


def main() -> None:
    """Print the least CPU seconds of several rounds, by bars and guidance (`generate --text` takes 2 at text strength 1)."""
    torch.set_num_threads(1)
    network = BridgeNetwork(BridgeSizes(plan_width=16, attributes=8, text_width=512), BridgeSchedule()).eval()
    print(f"{sum(p.numel() for p in network.parameters()):,} parameters")
    for bars in (32, 256, 1000):
        conditions = BarConditions.of_text(np.ones((bars, 8), dtype=np.float32), np.ones(512, dtype=np.float32))
        for guidance in (1.0, 2.0):
            seconds = []
            for _ in range(ROUNDS):
                began = time.process_time()
                sample_plans(network, conditions, [0], text_strength=guidance)
                seconds.append(time.process_time() - began)
            print(f"{bars} bars, guidance {guidance:g}: {min(seconds):.3f} s")


if __name__ == "__main__":
    main()
