"""The transcriber by memory, by loss and by the sound that it is trained on, each cell a short training from two seeds:

    python benchmarks/transcriber_tables.py run --stems STEMS --out cells.jsonl
    python benchmarks/transcriber_tables.py table --out cells.jsonl

`run` appends a line a cell and leaves out those that are there, so it may be stopped and given again. All cells take the same
number of steps on as many mixes, whatever else the machine does. Everything is judged on validation mixes, whose instruments no
cell trains on, with thresholds fitted to them: F of notes, and F of notes in the right part with the number of parts given, from
timbre alone and from timbre and pitch, by k-means.
"""

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.cluster import KMeans

from meloctl.progress import SilentReporter
from meloctl.transcription.loss_balance import BalanceName
from meloctl.transcription.network import MemoryName, NetworkConfig, Transcriber
from meloctl.transcription.note_scores import note_score, separated_score
from meloctl.transcription.notes import NoteTable
from meloctl.transcription.sounds.stem_library import StemLibrary
from meloctl.transcription.training_batches import BatchOptions, SoundName
from meloctl.transcription.transcriber_loss import TimbreLossName
from meloctl.transcription.transcriber_training import TranscriberTrainConfig, train_transcriber
from meloctl.transcription.transcriber_validation import (
    FoundPosteriors,
    ValidationMix,
    fitted_thresholds,
    posteriors_of,
    validation_mixes,
)

SEEDS = (0, 1)
SCORES = ("agnostic", "timbre alone", "timbre and pitch")
_OCTAVE = 0.8
"""Distance of two notes an octave apart, where pitch counts; opposite timbres are 2 apart."""

_MIXES = 6
"""Validation mixes of each number of parts."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What is trained; the defaults are those of `meloctl train-transcriber`."""

    memory: MemoryName = "none"
    loss: TimbreLossName = "info-nce"
    balance: BalanceName = "fixed"
    train_on: SoundName = "all"
    augment: bool = True


TABLES: dict[str, dict[str, Cell]] = {
    "memory": {
        "none": Cell(),
        "hebbian": Cell(memory="hebbian"),
        "linear": Cell(memory="linear"),
        "flow": Cell(memory="flow"),
    },
    "loss": {
        "InfoNCE over notes": Cell(),
        "affinity N × N, LeakyReLU": Cell(loss="affinity"),
        "affinity D × D": Cell(loss="affinity-small"),
        "InfoNCE, magnitudes balanced": Cell(balance="magnitude"),
        "InfoNCE, magnitudes and DWA": Cell(balance="dwa"),
        "affinity N × N, magnitudes and DWA": Cell(loss="affinity", balance="dwa"),
    },
    "training sound": {
        "all": Cell(),
        "without real single notes": Cell(train_on="synthetic"),
        "soundfonts alone": Cell(train_on="soundfonts"),
        "additive alone": Cell(train_on="additive"),
        "without augmentation": Cell(augment=False),
    },
}


def main() -> None:
    """Run what is missing, or print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--stems", type=Path, help="folder of stems, as meloctl train-transcriber builds them")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one a cell")
    parser.add_argument("--steps", type=int, default=150, help="steps of a cell, of 20 s of mixes each")
    arguments = parser.parse_args()
    if arguments.what == "run":
        if arguments.stems is None:
            parser.error("run needs --stems")
        run(arguments.stems, arguments.out, arguments.steps)
    print("\n\n".join(tables(finished(arguments.out), arguments.steps)))


def runs() -> list[tuple[int, Cell]]:
    """(seed, cell) of all trainings, those that several tables share once: memories and losses first."""
    orders = [(seed, names) for names in (("memory", "loss"), ("training sound",)) for seed in SEEDS]
    return list(dict.fromkeys((seed, cell) for seed, names in orders for n in names for cell in TABLES[n].values()))


def key_of(cell: Cell, seed: int, steps: int) -> str:
    """What tells one line of results from another."""
    return json.dumps([vars(cell), seed, steps], sort_keys=True)


def finished(out: Path) -> dict[str, dict[str, Any]]:
    """{key: results} of a file of lines; one that a kill cut short is left out."""
    found = {}
    for line in out.read_text(encoding="utf-8").splitlines() if out.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["key"]] = row
    return found


def run(stems: Path, out: Path, steps: int) -> None:
    """Train and judge the cells that `out` lacks."""
    torch.set_num_threads(1)
    library, mixes = StemLibrary(stems, "train"), validation_mixes(StemLibrary(stems, "validation"), _MIXES)
    for seed, cell in runs():
        key = key_of(cell, seed, steps)
        if key in finished(out):
            continue
        began = time.process_time()
        result = judged(trained(cell, seed, steps, library, mixes), mixes)
        row = {"key": key, **result, "cpu_s": round(time.process_time() - began, 1)}
        with out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def trained(cell: Cell, seed: int, steps: int, library: StemLibrary, mixes: list[ValidationMix]) -> Transcriber:
    """The network of a cell."""
    torch.manual_seed(seed)
    network = Transcriber(NetworkConfig(memory=cell.memory))
    config = TranscriberTrainConfig(
        steps=steps,
        seed=seed,
        timbre_loss=cell.loss,
        balance=cell.balance,
        batches=BatchOptions(sounds=cell.train_on, augment=cell.augment),
    )
    with tempfile.TemporaryDirectory() as folder:
        return train_transcriber(network, library, mixes[:1], config, Path(folder), SilentReporter())[0]


def judged(network: Transcriber, mixes: list[ValidationMix]) -> dict[str, Any]:
    """{number of parts: {score: mean F}} of validation mixes."""
    found: list[FoundPosteriors] = posteriors_of(network, mixes)
    thresholds = fitted_thresholds(found, mixes)
    scores: dict[str, dict[str, list[float]]] = {}
    for posteriors, mix in zip(found, mixes, strict=True):
        of_parts = scores.setdefault(str(mix.parts), {name: [] for name in SCORES})
        notes = posteriors.decoded(thresholds)
        of_parts["agnostic"].append(note_score(mix.notes, notes).f)
        of_parts["timbre alone"].append(separated_f(mix, notes, 0.0))
        of_parts["timbre and pitch"].append(separated_f(mix, notes, _OCTAVE))
    return {
        "scores": {parts: {n: round(float(np.mean(v)), 4) for n, v in own.items()} for parts, own in scores.items()},
        "thresholds": [thresholds.onset, thresholds.note],
    }


def separated_f(mix: ValidationMix, notes: NoteTable, octave: float) -> float:
    """F of notes in the right part, of the number of parts that there are."""
    if len(notes) < mix.parts:
        return 0.0
    places = np.concatenate([notes.embedding, octave * notes.pitch[:, None] / 12], 1)
    labels = KMeans(mix.parts, n_init=10, random_state=0).fit_predict(places)
    return separated_score(mix.notes, replace(notes, part=labels.astype(np.int64))).f


def tables(rows: dict[str, dict[str, Any]], steps: int) -> list[str]:
    """Markdown of each table: means over 2, 3 and 4 parts and over seeds, behind them half the difference of two seeds."""
    out = []
    for name, table in TABLES.items():
        lines = [f"| {name} | {' | '.join(SCORES)} | seeds |", "|---|" + "---:|" * (len(SCORES) + 1)]
        for label, cell in table.items():
            own = [rows[key] for seed in SEEDS if (key := key_of(cell, seed, steps)) in rows]
            if own:
                values = " | ".join(_spread([_mean(row, score) for row in own]) for score in SCORES)
                lines.append(f"| {label} | {values} | {len(own)} |")
        out.append("\n".join(lines))
    return out


def _mean(row: dict[str, Any], score: str) -> float:
    return float(np.mean([row["scores"][parts][score] for parts in ("2", "3", "4") if parts in row["scores"]]))


def _spread(values: list[float]) -> str:
    spread = f" ± {(max(values) - min(values)) / 2:.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


if __name__ == "__main__":
    main()
