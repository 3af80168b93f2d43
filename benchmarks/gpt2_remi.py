"""What a user would pick instead: Hugging Face's GPT-2 on MidiTok's REMI, trained from scratch on a corpus of ours, then sampled.

    python benchmarks/gpt2_remi.py tokenise CORPUS --work MELO --out TOKENS.npz
    python benchmarks/gpt2_remi.py train TOKENS.npz RUN --minutes 35          (again: goes on where it was stopped)
    python benchmarks/gpt2_remi.py score TOKENS.npz RUN                       (bits a note on held-out pieces, by set)
    python benchmarks/gpt2_remi.py sample RUN OUT --pieces 20 --bars 32
    python benchmarks/gpt2_remi.py real CORPUS OUT --work MELO --pieces 20 --bars 32     (held-out music to compare with)

It needs the extra: pip install -e '.[bench]'. MELO is the workspace in which `meloctl train` trained on the corpus, so that both
have the same training, validation and test pieces. Tokens are REMI with programs, time signatures and tempos in one stream for
all tracks, and MidiTok's defaults otherwise. The model has 4 layers of width 192 and no dropout (in so short a time it only
costs), and learns with AdamW (2 % of the time for warm-up, then a cosine to 0) from windows of 1,024 tokens, each transposed by
-5 to 6 semitones, in bf16 where the CPU has it. Sampling: temperature 1, top-p 0.95; no end of piece before its bars are full.
"""

import argparse
import csv
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from gpt2_sampling import sampled, write_pieces  # noqa: E402
from gpt2_tokens import TokenCorpus, count_notes, overlapping, training_window, write_real, write_tokens  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from train_contestants import of_size  # noqa: E402
from train_music import Tokens, remi  # noqa: E402

from analysis.atomic_write import atomic_write, atomic_write_text  # noqa: E402
from analysis.errors import MeloError  # noqa: E402
from meloctl.machine import computes_in_half  # noqa: E402

CONTEXT = 1024
LAYERS, WIDTH, HEADS = 4, 192, 3
WINDOWS = 2
"""Of a step."""

LEARNING_RATE, WARMUP = 1e-3, 0.02
STRETCH = 120.0
"""Seconds of training between two evaluations, after each of which the state is saved."""

VALIDATION_WINDOWS = 32


def new_model(parameters: int) -> Any:
    """GPT-2 with random weights, of so many parameters; its GELU is PyTorch's own form of the same function, which is faster."""
    from transformers import GPT2Config, GPT2LMHeadModel

    def build(hidden: int) -> Any:
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=len(remi()),
                n_positions=CONTEXT,
                n_embd=WIDTH,
                n_layer=LAYERS,
                n_head=HEADS,
                n_inner=hidden,
                activation_function="gelu_pytorch_tanh",
                attn_pdrop=0.0,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                bos_token_id=None,
                eos_token_id=None,
                use_cache=False,
                attn_implementation="sdpa",
            )
        )

    return of_size(build, parameters)


def nll(model: Any, windows_BK: Tokens) -> torch.Tensor:
    """(B, K) windows → (B, K - 1) loss in nats of each token but the first; 0 where there is none."""
    tokens = torch.from_numpy(windows_BK)
    inputs, targets = tokens[:, :-1].clamp(min=0), tokens[:, 1:]
    with torch.autocast("cpu", torch.bfloat16, enabled=computes_in_half("cpu")):
        logits = model(input_ids=inputs).logits
    return cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none").view(targets.shape)


class Gpt2Run:
    """A model, its optimizer, and what was spent on it; in its folder, state.pt and metrics.csv."""

    def __init__(self, folder: Path, parameters: int) -> None:
        torch.manual_seed(0)
        self.folder, self.model = folder, new_model(parameters)
        matrices = [p for p in self.model.parameters() if p.ndim > 1]
        vectors = [p for p in self.model.parameters() if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), fused=True)
        self.spent: dict[str, float] = {"step": 0, "seconds": 0.0, "cpu_seconds": 0.0, "tokens": 0}
        if (folder / "state.pt").is_file():
            state = torch.load(folder / "state.pt", weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.spent = state["spent"]

    def save(self, losses: dict[str, float]) -> None:
        """The state, whole, and a line of metrics.csv."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(), "spent": self.spent}
        with atomic_write(self.folder / "state.pt") as partial:
            torch.save(state, partial)
        line = {**{name: round(value, 1) for name, value in self.spent.items()}, **losses}
        path = self.folder / "metrics.csv"
        is_new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(line))
            if is_new:
                writer.writeheader()
            writer.writerow(line)
        print(line, flush=True)

    def step(self, windows_BK: Tokens, rate: float) -> float:
        """One step on windows; its mean loss in bits a token."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        tokens = int((windows_BK[:, 1:] >= 0).sum())
        loss = nll(self.model, windows_BK).sum() / tokens
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.spent["step"] += 1
        self.spent["tokens"] += tokens
        return float(loss.detach()) / math.log(2)


def rate_at(share: float) -> float:
    """Learning rate when such a share of the minutes is spent."""
    return LEARNING_RATE * min(1.0, share / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, share)))


def windows_of(corpus: TokenCorpus, pieces: Sequence[int], random: np.random.Generator) -> Tokens:
    """(B, CONTEXT + 1) a training window of each piece."""
    return np.stack([training_window(corpus.piece(i), CONTEXT + 1, random) for i in pieces])


def train(corpus: TokenCorpus, run: Gpt2Run, minutes: float) -> None:
    """Steps until so many minutes of wall time are spent on them, evaluations not counted."""
    random = np.random.default_rng(0)
    held_out = random.choice(corpus.pieces("validation"), VALIDATION_WINDOWS)
    validation = windows_of(corpus, held_out.tolist(), random)
    while run.spent["seconds"] < 60 * minutes:
        loss = stretch(corpus, run, 60 * minutes)
        run.model.eval()
        with torch.no_grad():
            nats = sum(float(nll(run.model, part).sum()) for part in np.split(validation, VALIDATION_WINDOWS // 4))
        bits = nats / math.log(2) / count_notes(validation[:, 1:])
        run.save({"train_bits_per_token": round(loss, 4), "validation_bits_per_note": round(bits, 4)})


def stretch(corpus: TokenCorpus, run: Gpt2Run, seconds: float) -> float:
    """Train for STRETCH seconds, or until `seconds` are spent in all; mean loss in bits a token."""
    training = corpus.pieces("train")
    share = np.diff(corpus.first)[training] + CONTEXT / 2
    share /= share.sum()
    random, before = np.random.default_rng(int(run.spent["step"])), run.spent["seconds"]
    began, cpu, losses = time.perf_counter(), time.process_time(), []
    run.model.train()
    while (now := time.perf_counter() - began) < STRETCH and before + now < seconds:
        windows = windows_of(corpus, random.choice(training, WINDOWS, p=share).tolist(), random)
        losses.append(run.step(windows, rate_at((before + now) / seconds)))
    run.spent["seconds"] += time.perf_counter() - began
    run.spent["cpu_seconds"] += time.process_time() - cpu
    return float(np.mean(losses))


@torch.no_grad()
def score(corpus: TokenCorpus, model: Any) -> dict[str, dict[str, float]]:
    """Bits a note of the held-out pieces, whole, by set, by side and of all."""
    found: dict[str, dict[str, float]] = {}
    for i in corpus.pieces("validation", "test"):
        ids = corpus.piece(i)
        nats = sum(float(nll(model, window[None])[0, -new:].sum()) for window, new in overlapping(ids, CONTEXT))
        more = {"pieces": 1, "notes": count_notes(ids), "tokens": len(ids) - 1, "bits": nats / math.log(2)}
        for name in (str(corpus.set_name[i]), str(corpus.side[i]), "all"):
            entry = found.get(name, {})
            found[name] = {key: entry.get(key, 0) + value for key, value in more.items()}
    return {name: {**e, "bits_per_note": round(e["bits"] / e["notes"], 3)} for name, e in sorted(found.items())}


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of = {name: commands.add_parser(name) for name in ("tokenise", "train", "score", "sample", "real")}
    for name in ("tokenise", "real"):
        of[name].add_argument("corpus", type=Path)
        of[name].add_argument("--work", type=Path, required=True)
    of["tokenise"].add_argument("--out", type=Path, required=True)
    for name in ("train", "score"):
        of[name].add_argument("tokens", type=Path)
    for name in ("train", "score", "sample"):
        of[name].add_argument("run", type=Path)
        of[name].add_argument("--parameters", type=int, default=2_400_000, help="default: 2,400,000, as `tiny`")
        of[name].add_argument("--threads", type=int, default=1)
    of["train"].add_argument("--minutes", type=float, required=True, help="of wall time")
    for name in ("sample", "real"):
        of[name].add_argument("out", type=Path)
        of[name].add_argument("--pieces", type=int, default=20)
        of[name].add_argument("--bars", type=int, default=32)
    of["sample"].add_argument("--seed", type=int, default=0)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """The commands."""
    given = arguments(argv)
    if given.command == "tokenise":
        write_tokens(given.corpus, given.work, given.out)
        return
    if given.command == "real":
        write_real(given.corpus, given.work, given.out, bars=given.bars, pieces=given.pieces)
        return
    torch.set_num_threads(given.threads)
    run = Gpt2Run(given.run, given.parameters)
    if given.command == "train":
        train(TokenCorpus.read(given.tokens), run, given.minutes)
        return
    if not run.spent["step"]:
        raise SystemExit(f"error: {given.run}: nothing trained in it; give the folder of a run")
    model, cpu = run.model.eval(), time.process_time()
    found: dict[str, Any]
    if given.command == "score":
        found = score(TokenCorpus.read(given.tokens), model)
    else:
        written = sampled(model, given.pieces, given.bars, torch.Generator().manual_seed(given.seed))
        found = {"cpu_seconds": round(time.process_time() - cpu, 1)}
        try:
            found |= write_pieces(written, given.out)
        except MeloError as error:
            raise SystemExit(f"error: {error}") from error
    found["trained"] = run.spent
    atomic_write_text(given.run / f"{given.command}.json", json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
