"""What relative attention costs by length, forward and backward: skewing against the embeddings of all pairs of rows.

    python benchmarks/relative.py [--json] [--picture docs/pictures/relative.png]

Three forms of attention of one sequence to itself, with as many distances as rows, on one thread:

    pairs       (H, L, L, D), as the formula is written (tests/plain_relative.py); left out where that alone is over --most-gb
    skewing     the paper's: no embeddings of pairs, but the logits of all queries at once
    in blocks   `meloctl.model.music_transformer.relative`: skewing, the logits of 128 queries at a time, computed again for the
                backward pass

Each number comes from a process of its own. Memory is the peak of the process during one pass, less what it held before, with
an allocator that gives back at once what is freed (Linux, glibc). Time is the shortest of several passes, of this thread alone.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

FORMS = ("pairs", "skewing", "in blocks")


def step_of(form: str, length: int, heads: int, width: int) -> Callable[[], None]:
    """A forward and backward pass; another one, of few rows, has been done already, for what loads at the first call."""
    import torch
    from plain_relative import naive_relative_attention

    from meloctl.model.music_transformer.relative import relative_attention

    torch.set_num_threads(1)
    function = {
        "pairs": naive_relative_attention,
        "skewing": lambda *x: relative_attention(*x, block=x[0].shape[1]),
        "in blocks": relative_attention,
    }[form]

    def tensors(n: int) -> list[torch.Tensor]:
        return [torch.randn(heads, n, width, requires_grad=True) for _ in range(4)]

    function(*tensors(32)).sum().backward()
    given = tensors(length)
    for x in given:
        x.grad = torch.zeros_like(x)  # learned tensors have theirs already

    return lambda: function(*given).sum().backward()


def peak_mb(step: Callable[[], None]) -> float:
    """Most that this process holds during a step, less what it held before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = memory("VmRSS")
    step()
    return round((memory("VmHWM") - before) / 1e6, 1)


def shortest_ms(step: Callable[[], None], repeats: int) -> float:
    """Time of this thread for a step, the shortest of several."""
    took = []
    for _ in range(repeats + 1):
        start = time.thread_time()
        step()
        took.append(time.thread_time() - start)
    return round(1e3 * min(took[1:]), 1)


def memory(name: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(name))


def apart(form: str, length: int, what: str, options: list[Any]) -> float:
    """One number from a process of its own."""
    command = [__file__, "--form", form, "--measure", what, "--lengths", length, *options]
    prompt = {"MALLOC_MMAP_THRESHOLD_": "65536"} if what == "peak_mb" else {}  # what is freed goes back at once
    environment = {**os.environ, **prompt}
    done = subprocess.run(
        [sys.executable, *map(str, command)], check=True, capture_output=True, text=True, env=environment
    )
    return float(done.stdout)


def needed(form: str, length: int, heads: int, width: int) -> float:
    """Bytes of what is largest in a form: the embeddings of pairs, the logits, or one block of logits and the rows."""
    from meloctl.model.music_transformer.relative import BLOCK

    numbers = {
        "pairs": length**2 * width,
        "skewing": length**2,
        "in blocks": min(BLOCK, length) * length + length * width,
    }
    return 4.0 * heads * numbers[form]


def draw(results: list[dict[str, Any]], path: Path, heads: int, width: int) -> None:
    """Peak memory and time against length, both axes logarithmic, theory dashed."""
    from matplotlib.figure import Figure

    from analysis.plots import CROSS, GRID, INK, SAME, save
    from meloctl.model.music_transformer.relative import BLOCK

    colours = dict(zip(FORMS, (CROSS, INK, SAME), strict=True))
    labels = {
        "pairs": "embeddings of all pairs",
        "skewing": "skewing, all queries at once",
        "in blocks": "skewing, in blocks of queries (ours)",
    }
    theory = {"pairs": "4·H·L²·D bytes", "skewing": "4·H·L² bytes", "in blocks": f"4·H·L·({BLOCK} + D) bytes"}
    figure = Figure(figsize=(12, 5), layout="constrained")
    panels = figure.subplots(1, 2)
    every = np.array(sorted({r["rows"] for r in results}))
    for form in FORMS:
        mine = [r for r in results if r["form"] == form]
        rows = [r["rows"] for r in mine]
        style = {"color": colours[form], "ms": 4, "lw": 1.6, "label": labels[form]}
        panels[0].plot(rows, [r["peak_mb"] for r in mine], "-o", **style)
        panels[1].plot(rows, [r["ms"] for r in mine], "-o", **style | {"label": None})
        line = [needed(form, int(n), heads, width) / 1e6 for n in every]
        panels[0].plot(every, line, "--", color=colours[form], lw=1, alpha=0.7, label=theory[form])
    last = next(r for r in reversed(results) if r["form"] == "in blocks")
    panels[1].plot(
        every, last["ms"] * (every / last["rows"]) ** 2, "--", color=INK, lw=0.8, alpha=0.5, label="∝ L²", zorder=0
    )
    for axes, what in zip(panels, ("peak memory, MB", "time, ms"), strict=True):
        axes.set(xscale="log", yscale="log", xlabel="rows", ylabel=what)
        axes.set_xticks(every, [f"{n:,}" for n in every])
        axes.minorticks_off()
        axes.grid(color=GRID, lw=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, fontsize=9, ncols=4, loc="outside lower center")
    figure.suptitle(
        f"Relative attention, forward and backward: {heads} heads of width {width}, one sequence, one CPU thread"
    )
    save(figure, path)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[256, 512, 1024, 2048])
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--width", type=int, default=64, help="of a head")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--most-gb", type=float, default=4.0, help="no embeddings of pairs larger than this")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--form", choices=FORMS, help="this one alone, at the first length, in this process")
    parser.add_argument("--measure", choices=("peak_mb", "ms"), default="ms", help="of --form")
    arguments = parser.parse_args()
    sizes = arguments.heads, arguments.width
    if arguments.form:
        step = step_of(arguments.form, arguments.lengths[0], *sizes)
        print(peak_mb(step) if arguments.measure == "peak_mb" else shortest_ms(step, arguments.repeats))
        return
    results = []
    for length in arguments.lengths:
        for form in FORMS:
            if form == "pairs" and needed(form, length, *sizes) > arguments.most_gb * 1e9:
                continue
            options = ["--heads", sizes[0], "--width", sizes[1], "--repeats", arguments.repeats]
            numbers = {what: apart(form, length, what, options) for what in ("peak_mb", "ms")}
            results.append({"form": form, "rows": length, **numbers})
            if not arguments.json:
                r = results[-1]
                print(f"{r['rows']:6} rows  {form:10} {r['peak_mb']:9,.1f} MB {r['ms']:9,.1f} ms", flush=True)
    if arguments.picture:
        draw(results, arguments.picture, *sizes)
    if arguments.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
