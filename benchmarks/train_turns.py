"""Models that learn in turns, each in a process of its own, so that noise meets all of them and each has its own peak memory."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from train_music import Excerpt


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is measured."""

    tokens: tuple[int, ...] = (1024, 2048, 4096)
    """Contexts of GPT-2; the others get the same bars."""

    lengths: tuple[int, ...] = (256, 512, 1024, 2048, 4096)
    """Windows of our rows."""

    attention: tuple[int, ...] = (2048, 8192)
    """Rows for attention alone."""

    rounds: int = 5
    parameters: int = 8_000_000
    layers: int = 8
    width: int = 256
    heads: int = 4
    threads: int
    seed: int = 0


class Contestant:
    """A model in a process of its own."""

    def __init__(self, about: dict[str, Any], steps: Path) -> None:
        program = Path(__file__).parent / "train_contestants.py"
        command = [sys.executable, str(program), json.dumps(about), str(steps)]
        self.name = str(about["model"])
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin
        assert self.process.stdout
        self.input, self.output = self.process.stdin, self.process.stdout
        self.seconds: list[float] = []
        self.parameters = 0

    def ready(self) -> None:
        """Wait until it is warm."""
        self.parameters = self._answer().get("parameters", 0)

    def take(self, step: int) -> None:
        """One step; nothing once its process has died, of too little memory for example."""
        with suppress(BrokenPipeError):
            self.input.write(f"{step}\n")
            self.input.flush()
            if answer := self._answer():
                self.seconds.append(answer["seconds"])

    def peak_mb(self) -> float | None:
        """End it; its peak memory, None where it died before."""
        with suppress(BrokenPipeError):
            self.input.close()
        peak = self._answer().get("peak_mb")
        self.output.close()
        self.process.wait()
        return peak

    def _answer(self) -> dict[str, Any]:
        line = self.output.readline()
        return dict(json.loads(line)) if line else {}


def in_turns(
    models: Sequence[str], context: int, steps: Sequence[Sequence["Excerpt"]], setting: Setting
) -> list[dict[str, Any]]:
    """One entry a model: how fast it learns from some steps, in turns with the others, and its peak memory.

    Args:
        context: most tokens or rows of an excerpt.
        steps: excerpts of each step.
    """
    from train_music import remi, save_steps

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "steps.npz"
        save_steps(steps, path)
        about = {
            "parameters": setting.parameters,
            "layers": setting.layers,
            "width": setting.width,
            "heads": setting.heads,
            "context": max((*setting.tokens, *setting.lengths, context)),
            "tokens": len(remi()) if any(model.startswith("gpt2") for model in models) else 0,
            "threads": setting.threads,
        }
        running = [Contestant({"model": model, **about}, path) for model in models]
        for contestant in running:
            contestant.ready()
        for step in range(len(steps)):
            for contestant in running:
                contestant.take(step)
        return [entry(contestant, steps) for contestant in running]


def entry(contestant: Contestant, steps: Sequence[Sequence["Excerpt"]]) -> dict[str, Any]:
    """What one model reached. Notes a second: the median of its steps, with the slowest and the fastest."""
    of_tokens = contestant.name.startswith("gpt2")
    excerpts = [excerpt for step in steps for excerpt in step]
    notes = [sum(e.token_notes if of_tokens else e.notes for e in step) for step in steps]
    rates = sorted(n / s for n, s in zip(notes, contestant.seconds, strict=False))
    found = {
        "model": contestant.name,
        "rows": round(statistics.mean(len(e.window.rows) for e in excerpts)),
        "notes": round(statistics.mean(e.token_notes if of_tokens else e.notes for e in excerpts)),
        "notes_per_s": rounded(statistics.median(rates)) if rates else None,
        "slowest": rounded(rates[0]) if rates else None,
        "fastest": rounded(rates[-1]) if rates else None,
        "peak_mb": contestant.peak_mb(),
        "parameters": contestant.parameters,
    }
    if of_tokens:
        found["tokens"] = round(statistics.mean(len(e.tokens) for e in excerpts))
        found["tokens_per_note"] = round(sum(len(e.tokens) for e in excerpts) / sum(notes), 3)
    return found


def rounded(rate: float) -> float:
    """Four figures."""
    return float(f"{rate:.4g}")
