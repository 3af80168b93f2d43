"""Makes meloctl/text/text_head.safetensors again, the text head of the default encoder: half a minute of one core.

    python maintenance/text_head.py [--encoder NAME-OR-FOLDER] [--out FILE]

The same lexicon, scenes and encoder give the same head, but for the rounding of the machine's matrix products. It prints how many
of the words and scenes of the test half the head alone takes to speak of music, and how many signs it gets right.
"""

import argparse
from pathlib import Path

import numpy as np

from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.encoders import DEFAULT_ENCODER, load_encoder
from meloctl.text.head_examples import plain_examples
from meloctl.text.head_training import train_head
from meloctl.text.text_head import load_head, save_head
from meloctl.text.text_reading import DEFAULT_HEAD

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Train, save, and say how good it is."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--encoder", default=DEFAULT_ENCODER)
    options.add_argument("--out", type=Path, default=ROOT / "meloctl" / "text" / DEFAULT_HEAD)
    given = options.parse_args()
    encoder = load_encoder(given.encoder)
    save_head(train_head(encoder), given.out)
    head = load_head(given.out, fingerprint=encoder.fingerprint, width=encoder.width)
    test = plain_examples("test")
    music, _, levels = head(encoder.encode(test.texts))
    said = ~np.isnan(test.levels)
    right = np.sign(levels) == np.sign(np.nan_to_num(test.levels))
    print(f"{given.out}: {given.out.stat().st_size:,} bytes, threshold {head.threshold:.3f}")
    print(f"test words and scenes taken to speak of music: {(music >= head.threshold)[said.any(1)].mean():.3f}")
    for a, name in enumerate(ATTRIBUTES):
        print(f"  {name:12} sign right in {right[said[:, a], a].mean():.3f} of {said[:, a].sum()}")


if __name__ == "__main__":
    main()
