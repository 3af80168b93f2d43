"""Fits what stands in the header of a trained transcriber beside its network again, in the file itself: some minutes.

    python maintenance/fit_transcriber.py transcriber.safetensors --stems FOLDER [--out FILE]

`meloctl train-transcriber` does the same when it ends. Equal weights and stems give an equal header.
"""

import argparse
import json
from pathlib import Path

import msgspec
import torch

from meloctl.transcription.sounds.stem_library import StemLibrary
from meloctl.transcription.transcriber_file import load_transcriber, save_transcriber
from meloctl.transcription.transcriber_fitting import fitted_reading


def main() -> None:
    """Fit, save, and say how good it is."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("weights", type=Path)
    options.add_argument("--stems", type=Path, required=True, help="folder of stems, as train-transcriber builds it")
    options.add_argument("--mixes", type=int, default=16, help="of each number of parts, from either split")
    options.add_argument("--out", type=Path, help="the file to write, if not the one that is read")
    given = options.parse_args()
    torch.set_num_threads(1)
    trained = load_transcriber(given.weights)
    stems = [StemLibrary(given.stems, split) for split in ("validation", "train")]
    reading = fitted_reading(trained.network, stems[0], stems[1], given.mixes)
    about = msgspec.structs.replace(
        trained.about,
        thresholds=reading.thresholds,
        parts=reading.parts,
        quality=trained.about.quality | reading.quality,
    )
    save_transcriber(trained.network, about, given.out or given.weights)
    print(json.dumps(about.to_json(), indent=1))


if __name__ == "__main__":
    main()
