"""Train the network that finds beats (`meloctl/beats/beats.safetensors`) on scores that a simulation performs.

    python maintenance/train_beats.py CORPUS OUT.safetensors [--minutes 20] [--seed 0] [--start EARLIER.safetensors]

CORPUS is what `maintenance/free_corpus.py` gathers. Of lieder and quartets one file in twelve is held out (by a hash of its name)
for the validation loss that is printed. Performances of people are not used.
"""

import argparse
import hashlib
import time
from pathlib import Path

import numpy as np
import torch
from performed_scores import Score, perform, read_score
from safetensors.numpy import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from analysis.atomic_write import atomic_write
from analysis.corpus import find_files
from analysis.errors import MeloError
from meloctl.beats.note_frames import FEATURES, FRAMES_A_SECOND, note_frames

SECONDS, BATCH, FASTEST = 40, 12, 3e-3
"""Length of an example, examples of a step, and the highest learning rate."""

SHARE = {"lieder": 0.47, "quartets": 0.27, "chorales": 0.09, "composed": 0.1, "freedoom": 0.04, "easyrpg": 0.03}
"""Of the examples, by the folder that a score came from."""

RARE = {(3, 4): 1.6, (6, 8): 3.0, (12, 8): 5.0, (9, 8): 5.0, (3, 8): 2.0, (2, 4): 1.3, (6, 16): 4.0, (12, 16): 4.0}
"""How much likelier scores of some metres are drawn within their folder."""

TARGET = {0: 1.0, -1: 0.6, 1: 0.6, -2: 0.25, 2: 0.25}
"""What is wanted of the frames about a beat."""


class BeatNetwork(nn.Module):
    """(batch, FEATURES, T) features → (batch, 2, T) log odds of a beat and of a downbeat."""

    def __init__(self, stem: int = 24, width: int = 32, blocks: int = 9) -> None:
        super().__init__()
        self.stem = nn.Conv1d(FEATURES, stem, 5, padding=2)
        self.down = nn.Conv1d(stem, width, 5, padding=2)
        self.blocks = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2 << i, dilation=1 << i) for i in range(blocks))
        self.mix = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(blocks))
        self.up = nn.Conv1d(width + stem, 24, 5, padding=2)
        self.out = nn.Conv1d(24, 2, 1)
        for mix in self.mix:
            nn.init.normal_(mix.weight, 0, 0.05)
            nn.init.zeros_(mix.bias)
        nn.init.constant_(self.out.bias, -3.0)

    def forward(self, x: Tensor) -> Tensor:
        """Log odds of an even number of frames."""
        stem = functional.relu(self.stem(x))
        y = functional.relu(self.down(functional.avg_pool1d(stem, 2)))
        for block, mix in zip(self.blocks, self.mix, strict=True):
            y = y + mix(functional.relu(block(y)))
        return self.out(functional.relu(self.up(torch.cat([stem, y.repeat_interleave(2, 2)], 1))))


def example(score: Score, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """(T, FEATURES) features, (2, T) targets and (T,) which frames count; None where a score does not lend itself to it."""
    played = perform(score, SECONDS, rng)
    if played is None or len(played.onset) < 20:
        return None
    frames = SECONDS * FRAMES_A_SECOND
    x = np.zeros((frames, FEATURES), dtype=np.float32)
    found = note_frames(played.onset, played.offset, played.pitch, played.velocity)[:frames]
    x[: len(found)] = found
    y = np.zeros((2, frames + 4), dtype=np.float32)
    for row, times in enumerate((played.beat, played.beat[played.opens])):
        at = np.rint(times * FRAMES_A_SECOND).astype(int)
        for apart, wanted in TARGET.items():
            near = np.clip(at[at < frames] + apart, 0, frames + 3)
            y[row, near] = np.maximum(y[row, near], wanted)
    return x, y[:, :frames], (np.arange(frames) < (played.onset[-1] + 0.5) * FRAMES_A_SECOND).astype(np.float32)


def batch(scores: list[Score], chance: np.ndarray, size: int, rng: np.random.Generator) -> list[Tensor]:
    """Examples of scores drawn by their chance."""
    found = []
    while len(found) < size:
        one = example(scores[rng.choice(len(scores), p=chance)], rng)
        if one is not None:
            found.append(one)
    return [torch.from_numpy(np.stack(column)) for column in zip(*found, strict=True)]


def chances(scores: list[Score]) -> np.ndarray:
    """(S,) the chance of each score."""
    chance = np.array([RARE.get(s.signature, 1.0) * min(len(s.beat), 400) ** 0.5 for s in scores])
    groups = np.array([s.group for s in scores])
    for group in np.unique(groups):
        chance[groups == group] *= SHARE.get(group, 0.0) / chance[groups == group].sum()
    return chance / chance.sum()


def loss(network: BeatNetwork, scale: tuple[Tensor, Tensor], examples: list[Tensor]) -> Tensor:
    """(2,) cross-entropy a frame of beats and of downbeats."""
    x, y, counts = examples
    odds = network(((x - scale[0]) / scale[1]).transpose(1, 2))
    each = functional.binary_cross_entropy_with_logits(odds, y, reduction="none") * counts[:, None]
    return each.sum((0, 2)) / counts.sum()


def weights(network: BeatNetwork, scale: tuple[Tensor, Tensor]) -> dict[str, np.ndarray]:
    """The arrays that `meloctl.beats.beat_network` reads."""
    found = {
        "mean": scale[0],
        "deviation": scale[1],
        "out.weight": network.out.weight[:, :, 0],
        "out.bias": network.out.bias,
    }
    for name in ("stem", "down", "up"):
        layer = getattr(network, name)
        found |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
    found["blocks.weight"] = torch.stack([b.weight for b in network.blocks])
    found["blocks.bias"] = torch.stack([b.bias for b in network.blocks])
    found["mix.weight"] = torch.stack([m.weight[:, :, 0] for m in network.mix])
    found["mix.bias"] = torch.stack([m.bias for m in network.mix])
    return {name: np.ascontiguousarray(value.detach().numpy(), dtype=np.float32) for name, value in found.items()}


def restore(network: BeatNetwork, path: Path) -> tuple[Tensor, Tensor]:
    """Put weights that were saved into a network; the mean and deviation of its features."""
    found = {name: torch.from_numpy(value) for name, value in load_file(path).items()}
    state = {
        f"{name}.{kind}": found[f"{name}.{kind}"] for name in ("stem", "down", "up") for kind in ("weight", "bias")
    }
    state |= {"out.weight": found["out.weight"][:, :, None], "out.bias": found["out.bias"]}
    for i in range(len(network.blocks)):
        state |= {f"blocks.{i}.{kind}": found[f"blocks.{kind}"][i] for kind in ("weight", "bias")}
        state |= {f"mix.{i}.weight": found["mix.weight"][i][:, :, None], f"mix.{i}.bias": found["mix.bias"][i]}
    network.load_state_dict(state)
    return found["mean"], found["deviation"]


def main() -> None:
    """Train, and save what validates after every two minutes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path)
    options = parser.parse_args()
    scores = read_scores(options.corpus)
    held = [s for s in scores if s.group in ("lieder", "quartets") and is_held_out(s)]
    scores = [s for s in scores if not is_held_out(s)]
    rng, network = np.random.default_rng(options.seed), BeatNetwork()
    torch.manual_seed(options.seed)
    torch.set_num_threads(1)
    chance = chances(scores)
    validation = batch(held, chances(held), 32, np.random.default_rng(5))
    if options.start:
        scale = restore(network, options.start)
    else:
        seen = batch(scores, chance, 64, rng)[0].reshape(-1, FEATURES)
        scale = seen.mean(0), seen.std(0) + 1e-3
    optimizer = torch.optim.AdamW(network.parameters(), lr=FASTEST, weight_decay=0.01)
    begin, said, step = time.monotonic(), 0.0, 0
    while (spent := (time.monotonic() - begin) / (60 * options.minutes)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = FASTEST * min(1, (step + 1) / 30) * (0.5 + 0.5 * np.cos(np.pi * spent)) + 1e-5
        optimizer.zero_grad()
        loss(network, scale, batch(scores, chance, BATCH, rng)).sum().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        if spent * options.minutes - said > 2 or spent > 0.99:
            said = spent * options.minutes
            with torch.no_grad():
                print(
                    f"{said:.1f} min, step {step}: validation {loss(network, scale, validation).tolist()}", flush=True
                )
            with atomic_write(options.out) as partial:
                save_file(weights(network, scale), partial)


def read_scores(corpus: Path) -> list[Score]:
    """The scores of a corpus that can be read and played."""
    found = []
    for path in find_files(corpus):
        try:
            score = read_score(path)
        except MeloError:
            continue
        if score is not None and len(score.beat) > 20:
            found.append(score)
    return found


def is_held_out(score: Score) -> bool:
    """One score in twelve."""
    return int(hashlib.sha256(score.name.encode()).hexdigest()[:8], 16) % 12 == 0


if __name__ == "__main__":
    main()
