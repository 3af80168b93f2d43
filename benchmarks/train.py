"""Training: ours beside GPT-2 on MidiTok's REMI and beside dense causal attention on our rows, on the same bars of real pieces.

    python benchmarks/train.py [FOLDER] [--json] [--quick]     on this CPU (needs the extra: pip install -e '.[bench]')
    python benchmarks/train.py [FOLDER] --cuda [--json]        `large` in bf16 on a GPU, against dense causal flash attention

Without FOLDER, the set `band` of real MIDI under $MELOCTL_DATA. Three tables on a CPU:

1. Notes a second of whole training steps (forward, backward, AdamW) by context, all models of one size, depth, width and heads.
   Every model learns from the same bars in each step, whatever the context: those of one excerpt of the largest context, cut.
   Ours packs the cuts into one sequence, planning its mask included; GPT-2 takes them one by one, so nothing is padded.
2. The same by length in rows, so what a note costs in longer windows.
3. Attention alone, one layer, forward and backward, against PyTorch's causal flash kernel.

Each model has a process of its own and they take turns step by step, so noise meets all of them; times are wall time. Peak
memory is that of the process, less what it held after its imports. All are measured in float32 and, on CPUs that have
instructions for it, with matrix products in bf16 (`-bf16`), which `meloctl train` takes there by itself. `gpt2-flash` is
GPT-2 without dropout on attention weights, which lets SDPA take its flash kernel; `gpt2` has the dropout that its library
gives it, which on a CPU does not.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from train_turns import Setting, in_turns  # noqa: E402

BAND = Path(os.environ.get("MELOCTL_DATA", ROOT.parent / "shared" / "data")) / "band"


QUICK = {"tokens": (1024, 4096), "lengths": (1024, 4096), "attention": (2048,), "rounds": 2}
"""What --quick changes."""


def measured(folder: Path, setting: Setting) -> dict[str, Any]:
    """Everything, as the one object that --json prints."""
    import numpy as np
    from train_attention import attention_alone
    from train_music import by_rows, by_tokens

    from meloctl.rows.vocabulary import default_vocabulary

    vocabulary = default_vocabulary()
    found: dict[str, Any] = {}
    random = np.random.default_rng(setting.seed)
    for context, steps in by_tokens(folder, vocabulary, setting.tokens, setting.rounds, random).items():
        entries = in_turns(contestants("meloformer", "dense", "gpt2-flash", "gpt2"), context, steps, setting)
        found[f"{context} tokens"] = entries
        progress(f"context of {context:,} tokens done")
    random = np.random.default_rng(setting.seed)
    for length, steps in by_rows(folder, vocabulary, setting.lengths, setting.rounds, random).items():
        found[f"{length} rows"] = in_turns(contestants("meloformer", "dense"), length, steps, setting)
        progress(f"windows of {length:,} rows done")
    found["attention"] = [
        row
        for length in setting.attention
        for row in attention_alone(folder, length, setting.rounds, setting.threads, np.random.default_rng(setting.seed))
    ]
    return {**found, "ratios": ratios(found), "setting": {**asdict(setting), **versions()}}


def contestants(*models: str) -> tuple[str, ...]:
    """Models in float32 and, where this CPU has instructions for it, in bf16, which `meloctl train` then takes."""
    from meloctl.machine import computes_in_half

    return (*models, *(f"{model}-bf16" for model in models)) if computes_in_half("cpu") else models


def versions() -> dict[str, str]:
    """Of what is compared."""
    return {name: version(name) for name in ("torch", "transformers", "miditok")}


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """What the aims are about: notes a second against the others', and the cost of a note against that at 1,024 rows."""
    out = {}
    for context, entries in found.items():
        speed = {e["model"]: e["notes_per_s"] for e in entries if "notes_per_s" in e}
        pairs = [(f"meloformer{p}", f"{other}{p}") for p in ("", "-bf16") for other in ("gpt2", "gpt2-flash", "dense")]
        for ours, other in [*pairs, ("meloformer-bf16", "gpt2")]:  # last: what each user gets who sets nothing
            if speed.get(other) and speed.get(ours):
                out[f"{context}: {ours} / {other}"] = round(speed[ours] / speed[other], 2)
    base = {e["model"]: e["notes_per_s"] for e in found.get("1024 rows", [])}
    for context, entries in found.items():
        for e in entries if context.endswith(" rows") else ():
            if base.get(e["model"]) and e["notes_per_s"]:
                out[f"{context}: cost of a note / at 1024 rows, {e['model']}"] = round(
                    base[e["model"]] / e["notes_per_s"], 2
                )
    return out


def progress(what: str) -> None:
    """For whoever waits."""
    print(what, file=sys.stderr, flush=True)


def printed(found: dict[str, Any], setting: Setting) -> None:
    """The tables for people."""
    print(
        f"{setting.parameters:,} parameters, {setting.layers} layers, width {setting.width}, {setting.heads} heads, "
        f"{setting.threads} threads, {setting.rounds} steps each; notes a second: median (slowest to fastest)\n"
    )
    print(f"{'context':14}{'model':17}{'notes':>6}{'rows':>6}{'tokens':>8}{'notes/s':>9}{'':4}{'':18}{'peak MB':>8}")
    for context, entries in found.items():
        for e in entries if context not in ("attention", "ratios", "setting") else ():
            rate = "died" if e["notes_per_s"] is None else f"{e['notes_per_s']:,.0f}"
            spread = "" if e["notes_per_s"] is None else f"({e['slowest']:,.0f} to {e['fastest']:,.0f})"
            peak = "" if e["peak_mb"] is None else f"{e['peak_mb']:,.0f}"
            tokens = e.get("tokens", "")
            print(
                f"{context:14}{e['model']:17}{e['notes']:>6}{e['rows']:>6}{tokens:>8}{rate:>9}    {spread:18}{peak:>8}"
            )
    print(
        "\nattention alone, forward and backward, time against causal flash attention: median (least to most of the rounds)"
    )
    for e in found["attention"]:
        print(
            f"{e['rows']:>6} rows  {e['spec']:20}{e['of_causal']:6.2f} ({e['least']:.2f} to {e['most']:.2f})   "
            f"work {e['work_of_causal']:.2f}, plan {e['plan_ms']:.0f} ms, causal {e['causal_ms']:,.0f} ms"
            + (f"; {e['repeated']} of {e['pieces']} pieces repeated to be so long" if e["repeated"] else "")
        )
    print()
    for name, ratio in found["ratios"].items():
        print(f"{name}: {ratio:.2f}")


def whole_numbers(text: str) -> tuple[int, ...]:
    """ "1024,2048" as numbers."""
    return tuple(int(part) for part in text.split(","))


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=BAND, help="MIDI files, real ones of many bars")
    parser.add_argument("--json", action="store_true", help="one object, for programs")
    parser.add_argument("--quick", action="store_true", help="fewer contexts and rounds: under two minutes")
    parser.add_argument("--cuda", action="store_true", help="measure `large` on a GPU instead")
    parser.add_argument("--compile", action="store_true", help="--cuda: compile whole layers too, not attention alone")
    parser.add_argument("--peak-tflops", type=float, help="--cuda: of the card in bf16, where its name is not known")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    for name in ("seed", "rounds", "parameters", "layers", "width", "heads"):
        parser.add_argument(f"--{name}", type=int, help=f"default: {getattr(Setting, name)}")
    for name in ("tokens", "lengths", "attention"):
        default = ",".join(map(str, getattr(Setting, name)))
        parser.add_argument(f"--{name}", type=whole_numbers, metavar="N,N", help=f"default: {default}")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    from analysis.errors import MeloError

    options = arguments(argv)
    given = {
        name: value
        for name, value in vars(options).items()
        if name in Setting.__dataclass_fields__ and value is not None
    }
    setting = replace(Setting(threads=options.threads), **{**(QUICK if options.quick else {}), **given})
    try:
        if options.cuda:
            from train_cuda import on_cuda

            on_cuda(
                options.folder,
                seed=setting.seed,
                peak_tflops=options.peak_tflops,
                compiled=options.compile,
                as_json=options.json,
            )
            return
        missing = [name for name in ("miditok", "transformers") if not installed(name)]
        if missing:
            raise MeloError(f"not installed: {', '.join(missing)}; install the extra: pip install -e '.[bench]'")
        if (load := os.getloadavg()[0]) > 1:
            progress(f"other work is running here (load {load:.1f}): times will be off")
        found = measured(options.folder, setting)
    except MeloError as error:
        raise SystemExit(f"error: {error}") from error
    if options.json:
        print(json.dumps(found))
    else:
        printed(found, setting)


def installed(name: str) -> bool:
    """Can it be imported?"""
    from importlib.util import find_spec

    return find_spec(name) is not None


if __name__ == "__main__":
    main()
