"""In how many generated pieces is the key heard that was asked for? Three of each key, with the latest model of a workspace.

    python benchmarks/keys.py [--work DIR] [--bars N]

The key finder is Krumhansl and Schmuckler's, as the tests have it: it knows nothing of how the notes were chosen. Without --key
the same pieces are asked for nothing, which gives chance.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from test_meloctl_score_key import KEYS, key_heard

from meloctl.generation.piece_writer import Constraints, PieceWriter
from meloctl.generation.sampler import Sampling, generate
from meloctl.model.checkpoint import load_model
from meloctl.rows.codec import decode
from meloctl.workspace import Workspace


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--work", type=Path, default=Path("melo"))
    asked.add_argument("--bars", type=int, default=16)
    options = asked.parse_args()
    model, _ = load_model(Workspace(options.work).latest("model").folder)
    keys = 3 * KEYS
    for given in (True, False):
        wishes = [Constraints(bars=options.bars, key=key if given else None) for key in keys]
        writers = [
            PieceWriter(vocabulary=model.vocabulary, wish=wish, random=np.random.default_rng(seed))
            for seed, wish in enumerate(wishes)
        ]
        generate(model, writers, Sampling())
        heard = [key_heard(decode(np.stack(writer.rows), model.vocabulary)) for writer in writers]
        for minor in (False, True):
            right = [a == b for a, b in zip(heard, keys, strict=True) if b.minor == minor]
            print(
                f"{'with' if given else 'without'} --key, {'minor' if minor else 'major'}: {sum(right)} of {len(right)}"
            )


if __name__ == "__main__":
    main()
