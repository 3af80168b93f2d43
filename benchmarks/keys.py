"""How often is the key of --key the estimated key of a generated piece? Three pieces of each key, by the latest model.

    python benchmarks/keys.py [--work DIR] [--bars N]

The key is estimated by Krumhansl and Schmuckler's method, as in the tests, which knows nothing of how notes are sampled. Pieces
of the same seeds without a key give chance level.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from plain_key import KEYS, estimated_key

from meloctl.generation.constraints import Constraints
from meloctl.generation.new_bars import bars_behind
from meloctl.generation.options import Sampling
from meloctl.generation.row_writers import RowWriters
from meloctl.generation.sampler import generate
from meloctl.model.checkpoint import load_model
from meloctl.rows.codec import decode
from meloctl.workspace import Workspace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("melo"))
    parser.add_argument("--bars", type=int, default=16)
    arguments = parser.parse_args()
    model, _ = load_model(Workspace(arguments.work).latest("model").folder)
    keys = 3 * KEYS
    for with_key in (True, False):
        pieces = [
            bars_behind(None, Constraints(bars=arguments.bars, key=key if with_key else None), model.vocabulary)
            for key in keys
        ]
        writers = RowWriters(pieces, [np.random.default_rng(seed) for seed in range(len(keys))])
        generate(model, writers, Sampling())
        estimates = [estimated_key(decode(writers.rows(i), model.vocabulary)) for i in range(len(keys))]
        for minor in (False, True):
            right = [a == b for a, b in zip(estimates, keys, strict=True) if b.minor == minor]
            option, mode = "with" if with_key else "without", "minor" if minor else "major"
            print(f"{option} --key, {mode}: {sum(right)} of {len(right)}")


if __name__ == "__main__":
    main()
