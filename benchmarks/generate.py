"""Generation: rows with cached keys under the diary's mask beside GPT-2 on MidiTok's REMI with its cache, the same music in both.

    python benchmarks/generate.py [FOLDER] [--json] [--bars 32,256,1000] [--together 8]
    python benchmarks/generate.py [FOLDER] [--json] --bars 32,128,512,1000 --masks seed,museformer,window
    python benchmarks/generate.py [FOLDER] [--json] --prefill 300,1000 [--together 4] [--threads 1]

It needs the extra: pip install -e '.[bench]'. Without FOLDER, the set `band` of real MIDI under $MELOCTL_DATA. The music is a
real piece of six parts, from its first bar on, repeated where it is shorter than the option says. Both systems draw every value
as they do in use (top-p 0.95), but all that they may draw is what stands in the piece: both write the same notes, and an
untrained model costs what a trained one does. GPT-2 goes through Hugging Face's `generate`. Models have equal parameters, and
each run has a process of its own: peak memory is that of the process less what it held after its imports. GPT-2 is measured at
the fewest bars alone: its cache grows with each token. With --masks, one piece alone under each of them, and nothing else: memory
as a function of bars.

With --prefill, prompts of so many rows and nothing else, with a model of size tiny: seconds from a prompt's rows to the first new
row, where the prompt is read row by row, in one forward pass, and in one for several pieces that begin with it. In one process,
in rounds; medians.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

BAND = Path(os.environ.get("MELOCTL_DATA", ROOT.parent / "shared" / "data")) / "band"
PARTS = 6
OURS, GPT2 = "meloctl", "gpt2"
MASKS = ("seed", "museformer", "window", "causal")
ROUNDS = 5
"""Turns of each measurement of a prompt."""

WINDOW = 8
"""Bars back that the mask `window` shows."""


def piece_of_parts(folder: Path, parts: int, bars: int) -> tuple[Path, Any]:
    """The first piece, by name, of so many parts and at least so many bars: its path and rows."""
    from analysis.errors import MeloError
    from analysis.midi import read_midi
    from meloctl.rows.codec import encode
    from meloctl.rows.vocabulary import default_vocabulary

    for path in sorted(folder.rglob("*.mid")):
        try:
            piece = read_midi(path)
        except MeloError:
            continue
        if len(piece.parts) == parts and piece.n_bars >= bars and any(part.is_drum for part in piece.parts):
            return path, encode(piece, default_vocabulary())[0]
    raise SystemExit(f"error: {folder}: no piece of {parts} parts and {bars} bars in it; give another folder")


def first_bars(rows: Any, bars: int) -> Any:
    """(L, F) the rows of so many bars, repeated where there are fewer, and an end row."""
    import numpy as np

    from meloctl.rows.vocabulary import INSTRUMENT, default_vocabulary

    vocabulary = default_vocabulary()
    music, end = rows[:-1], rows[-1:]
    n_bars = int((music[:, INSTRUMENT] == vocabulary.bar).sum())
    long = np.tile(music, (-(-bars // n_bars), 1))
    starts = np.append(np.flatnonzero(long[:, INSTRUMENT] == vocabulary.bar), len(long))
    return np.concatenate([long[: starts[bars]], end])


def mask_of(name: str) -> Any:
    """One of MASKS."""
    from train_contestants import SEED_MASK

    from masks.rules.baselines import causal_mask, museformer_mask, window_mask

    return dict(zip(MASKS, (SEED_MASK, museformer_mask(), window_mask(WINDOW), causal_mask()), strict=True))[name]


def ours(folder: Path, bars: int, together: int, mask: str | None, settings: dict[str, int]) -> dict[str, Any]:
    """Our decoder, so many pieces side by side."""
    import numpy as np
    import torch
    from train_contestants import Shape, meloformer, peak_mb

    from meloctl.generation.constraints import Constraints
    from meloctl.generation.new_bars import bars_behind
    from meloctl.generation.options import Sampling
    from meloctl.generation.row_writers import RowWriters
    from meloctl.generation.sampler import generate
    from meloctl.machine import computes_in_half
    from meloctl.rows.vocabulary import PITCH

    class Followers(RowWriters):
        """Sample rows like any others, and then write those of a given piece."""

        def sample(self, *what: Any) -> Any:
            return np.repeat(piece[[len(self.rows(0))]].astype(np.int64), len(super().sample(*what)), axis=0)

    piece = first_bars(piece_of_parts(folder, PARTS, 32)[1], bars)
    torch.set_num_threads(settings["threads"])
    before = peak_mb()
    torch.manual_seed(0)
    shape = Shape(model="meloformer", context=4096, tokens=0, **settings)  # type: ignore[arg-type]
    model = meloformer(shape, mask_of(mask or "seed")).eval()
    new_bars = bars_behind(None, Constraints(bars=bars), model.vocabulary)
    writers = Followers([new_bars] * together, [np.random.default_rng(i) for i in range(together)])
    began = time.perf_counter()
    decoder = generate(model, writers, Sampling(), half=computes_in_half("cpu"))
    seconds = time.perf_counter() - began
    notes = int((piece[:, PITCH] >= 0).sum())
    return {
        "system": system_name(OURS, together, mask),
        "bars": bars,
        "notes": notes,
        "notes_per_s": round(together * notes / seconds, 1),
        "peak_mb": round(peak_mb() - before, 1),
        "cache_mb": round(decoder.most_bytes / (1 << 20), 1),
    }


def prefill(folder: Path, lengths: Sequence[int], together: int, threads: int) -> list[dict[str, Any]]:
    """Time from a prompt to the first new row, in rounds: row by row, in one pass, and in one pass for several pieces.

    Args:
        lengths: rows of each prompt.
        together: pieces that begin with the same prompt.
    """
    import numpy as np
    import torch
    from train_contestants import SEED_MASK

    from meloctl.machine import computes_in_half
    from meloctl.model.config import PRESETS
    from meloctl.model.decoding import start_decoding
    from meloctl.model.meloformer.model import MeloFormer
    from meloctl.rows.vocabulary import default_vocabulary

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    model = MeloFormer(PRESETS["tiny"], default_vocabulary(), SEED_MASK).eval()
    music = first_bars(piece_of_parts(folder, PARTS, 32)[1], max(lengths))[:-1]
    half = computes_in_half("cpu")

    def seconds(prompt: Any, pieces: int, *, by_row: bool = False) -> float:
        """From prompts (L, F) to the states that predict the first new rows."""
        began = time.perf_counter()
        decoder, _ = start_decoding(model, [prompt[: 0 if by_row else len(prompt)]] * pieces, half=half)
        for row in prompt if by_row else ():
            decoder.step(np.repeat(row[None], pieces, axis=0))
        return time.perf_counter() - began

    found = []
    for length in lengths:
        prompt = music[:length].astype(np.int64)
        seconds(prompt, 1)  # kernels are made for each shape
        rounds = [
            (seconds(prompt, 1, by_row=True), seconds(prompt, 1), seconds(prompt, together)) for _ in range(ROUNDS)
        ]
        by_row, one, several = (float(np.median(column)) for column in zip(*rounds, strict=True))
        found.append(
            {
                "rows": length,
                "by_row_s": round(by_row, 4),
                "prefill_s": round(one, 4),
                "times_as_fast": round(by_row / one, 1),
                "together": together,
                "together_s": round(several, 4),
                "together_ratio": round(several / one, 2),
            }
        )
    return found


def system_name(system: str, together: int, mask: str | None) -> str:
    """ "meloctl", "meloctl x8", "meloctl museformer"."""
    return " ".join([system, *([mask] if mask else []), *([f"x{together}"] if together > 1 else [])])


def theirs(folder: Path, bars: int, settings: dict[str, int]) -> dict[str, Any]:
    """Hugging Face's GPT-2 with its K/V cache."""
    import numpy as np
    import torch
    from train_contestants import Shape, gpt2, peak_mb
    from train_music import remi, token_bars
    from transformers import LogitsProcessor, LogitsProcessorList, logging

    class Forced(LogitsProcessor):  # type: ignore[misc]
        """Draws as generate does, and then lets what stands in the piece win."""

        def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
            forced = torch.full_like(scores, -torch.inf)
            forced[:, tokens[ids.shape[1]]] = 0.0
            return forced

    logging.set_verbosity_error()
    every = token_bars(piece_of_parts(folder, PARTS, 32)[0])[:bars]
    tokens = torch.from_numpy(np.concatenate([bar.tokens for bar in every]))
    torch.set_num_threads(settings["threads"])
    before = peak_mb()
    torch.manual_seed(0)
    model = gpt2(Shape(model=GPT2, context=len(tokens) + 1, tokens=len(remi()), **settings)).eval()  # type: ignore[arg-type]
    began = time.perf_counter()
    with torch.no_grad():
        model.generate(  # type: ignore[operator]
            tokens[None, :1],
            attention_mask=torch.ones(1, 1, dtype=torch.long),
            max_new_tokens=len(tokens) - 1,
            do_sample=True,
            top_p=0.95,
            use_cache=True,
            pad_token_id=0,
            logits_processor=LogitsProcessorList([Forced()]),
        )
    seconds = time.perf_counter() - began
    notes = sum(bar.notes for bar in every)
    return {
        "system": GPT2,
        "bars": bars,
        "notes": notes,
        "notes_per_s": round(notes / seconds, 1),
        "peak_mb": round(peak_mb() - before, 1),
        "tokens": len(tokens),
    }


def measure_runs(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every run, each in a process of its own, one after the other."""
    runs: list[tuple[str, int, int, str | None]]
    if args.masks:
        runs = [(OURS, bars, 1, mask) for mask in args.masks for bars in args.bars]
    else:
        runs = [(OURS, bars, 1, None) for bars in args.bars]
        runs[1:1] = [(OURS, min(args.bars), args.together, None), (GPT2, min(args.bars), 1, None)]
    found = []
    for run in runs:
        command = [sys.executable, __file__, str(args.folder), "--one", json.dumps(run)]
        command += [f"--{name}={getattr(args, name)}" for name in ("parameters", "layers", "width", "heads", "threads")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"error: {run} ended with status {done.returncode}")
        found.append(json.loads(done.stdout))
        print(f"{found[-1]['system']}, {found[-1]['bars']} bars: done", file=sys.stderr, flush=True)
    return found


def numbers(text: str) -> list[int]:
    """ "32,256" as numbers, ascending."""
    return sorted(int(part) for part in text.split(","))


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=BAND, help="MIDI files, one of six parts among them")
    parser.add_argument("--json", action="store_true", help="one object, for programs")
    parser.add_argument("--bars", type=numbers, default=[32, 256, 1000], metavar="N,N")
    parser.add_argument(
        "--masks", type=lambda text: text.split(","), metavar="NAME,NAME", help=f"of {', '.join(MASKS)}"
    )
    parser.add_argument("--prefill", type=numbers, metavar="N,N", help="rows of prompts, and nothing else")
    parser.add_argument("--together", type=int, default=8, help="pieces side by side, in one of the runs")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    for name, value in (("parameters", 8_000_000), ("layers", 8), ("width", 256), ("heads", 4)):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default: {value:,}")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if unknown := set(args.masks or ()) - set(MASKS):
        parser.error(f"--masks {min(unknown)}: give some of {','.join(MASKS)}")
    if args.one:
        system, bars, together, mask = json.loads(args.one)
        settings = {name: getattr(args, name) for name in ("parameters", "layers", "width", "heads", "threads")}
        one = (
            theirs(args.folder, bars, settings) if system == GPT2 else ours(args.folder, bars, together, mask, settings)
        )
        print(json.dumps(one))
        return
    if args.prefill:
        prompts = prefill(args.folder, args.prefill, args.together, args.threads)
        if args.json:
            print(json.dumps({"prompts": prompts}))
            return
        print(f"{'rows':>6}{'by row s':>10}{'prefill s':>11}{'ratio':>7}{f'x{args.together} s':>9}{'to one':>8}")
        for e in prompts:
            print(
                f"{e['rows']:>6,}{e['by_row_s']:>10.3f}{e['prefill_s']:>11.3f}{e['times_as_fast']:>7.1f}"
                f"{e['together_s']:>9.3f}{e['together_ratio']:>8.2f}"
            )
        return
    found = measure_runs(args)
    if args.json:
        print(json.dumps({"runs": found}))
        return
    print(f"{'system':20}{'bars':>6}{'notes':>8}{'notes/s':>10}{'peak MB':>10}{'cache MB':>10}")
    for e in found:
        print(
            f"{e['system']:20}{e['bars']:>6}{e['notes']:>8,}{e['notes_per_s']:>10,.1f}{e['peak_mb']:>10,.0f}"
            f"{e.get('cache_mb', float('nan')):>10,.1f}"
        )
    for other in (e["notes_per_s"] for e in found if e["system"] == GPT2):
        for e in found:
            if e["system"] != GPT2:
                print(f"{e['system']}, {e['bars']} bars: {e['notes_per_s'] / other:.1f} times gpt2's notes a second")


if __name__ == "__main__":
    main()
