"""Training `large` on a GPU in bf16, under the seed's mask and with everything shown, by the number of rows.

The same model code as on a CPU, moved to the GPU under autocast; where everything is shown, attention is PyTorch's flash kernel.
Each step is one sequence of exactly so many rows of another real piece (repeated at later bars where none is as long), so bars
and parts differ from step to step and lengths do not.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from train_contestants import SPECS
from train_music import excerpts

from analysis.errors import MeloError
from masks.tiling.cell_rows import cells_of_rows
from masks.tiling.plan import plan
from meloctl.dataset.packs import Pack, pack_of
from meloctl.dataset.windows import Window
from meloctl.model.attention.flex.kernel import graphs_compiled
from meloctl.model.config import PRESETS, ModelConfig
from meloctl.model.meloformer.layout import MeloFormerLayout, places_of
from meloctl.model.meloformer.model import MeloFormer
from meloctl.rows.vocabulary import default_vocabulary

ROWS = (4096, 8192, 16384, 32768)
WARM = 3
"""Warm-up steps, left out of the times: kernels are compiled, the allocator finds its size."""

TIMED = 5

PEAK_TFLOPS = {
    "H200": 989,
    "H100 PCIe": 756,
    "H100": 989,
    "H800": 989,
    "A100": 312,
    "A800": 312,
    "L40S": 362,
    "L4": 121,
}
"""Of bf16 with float32 sums, without sparsity, as NVIDIA's data sheets give them; the first name that fits counts."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one step of a model must compute, whatever its kernels compute beyond that."""

    vectors: int
    """Rows and summaries that pass the layers."""

    pairs: int
    """Pairs (query, key) that may attend, in one layer."""


def work_of(pack: Pack, model: MeloFormer) -> Work:
    """Vectors and pairs of a pack of one window.

    Rows attend to the rows that the mask shows them and to the summaries of the bars before; a summary attends to its bar's rows
    and to the summaries up to its own.
    """
    places = places_of(pack, model.vocabulary)
    bar, part = places.bar, places.part
    drums = np.unique(part[places.is_drums]).tolist()
    pairs = sum(tile.n_pairs for tile in plan(model.spec, cells_of_rows(bar, part, drums)).tiles)
    if not model.spec.summaries:
        return Work(vectors=pack.n_rows, pairs=pairs)
    bars = int(bar[-1]) + 1
    return Work(vectors=pack.n_rows + bars, pairs=pairs + int(bar.sum()) + pack.n_rows + bars * (bars + 1) // 2)


@dataclass(frozen=True, kw_only=True)
class FlashCausalPlan:
    """An attention plan for one window without summaries in which a row attends to all earlier ones: PyTorch's flash kernel."""

    n_queries: int

    def attend(self, q_LHD: Tensor, k_LGD: Tensor, v_LGD: Tensor, _biases: Tensor | None = None) -> Tensor:
        """(L, H, D) attention."""
        q, k, v = (x.transpose(0, 1)[None] for x in (q_LHD, k_LGD, v_LGD))
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return out[0].transpose(0, 1)

    def to(self, _device: torch.device) -> "FlashCausalPlan":
        """Itself: it has no tensors."""
        return self


def layout_for(name: str, model: MeloFormer, pack: Pack) -> MeloFormerLayout:
    """The layout of a pack; for the contestant "dense" with PyTorch's flash kernel instead of the model's own backend."""
    layout = model.layout(pack)
    return layout if name != "dense" else replace(layout, row_plan=FlashCausalPlan(n_queries=len(layout.rows_NF)))


def model_flops(model: nn.Module, config: ModelConfig, work: Work) -> float:
    """Floating point operations of forward and backward: 6 for each weight of a matrix and each vector that meets it, 12 for each
    pair and number of a head's width, in each layer (Chowdhery et al., 2022, appendix B). Embeddings only look up."""
    looked_up = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    weights = sum(p.numel() for p in model.parameters() if p.ndim >= 2 and id(p) not in looked_up)
    return 6.0 * weights * work.vectors + 12.0 * config.layers * config.width * work.pairs


def peak_flops(name: str, given: float | None) -> float | None:
    """Operations a second that a card can reach in bf16, by its name; None where it is not known."""
    tflops = given or next((peak for card, peak in PEAK_TFLOPS.items() if card in name), None)
    return None if tflops is None else 1e12 * tflops


def measured(
    name: str,
    config: ModelConfig,
    packs: Sequence[Pack],
    device: torch.device,
    *,
    warm: int = WARM,
    compiled: bool = False,
) -> dict[str, Any]:
    """Rows a second, operations a second, peak memory and recompilations of one model, one pack a step.

    Layouts are made before the clock starts, as the loader makes them ahead of time; `layout_ms` says how long one takes.

    Args:
        name: meloformer or dense.
        packs: all of one length; the first `warm` are left out of the times.
        compiled: layers are compiled whole; attention under a mask always is.
    """
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    torch.manual_seed(0)
    model = MeloFormer(config, default_vocabulary(), SPECS[name]).to(device)
    for layer in model.layers if compiled else ():
        layer.compile()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    began = time.perf_counter()
    layouts = [layout_for(name, model, pack) for pack in packs]
    layout_ms = 1e3 * (time.perf_counter() - began) / len(packs)
    seconds, graphs = [], 0
    for i, layout in enumerate(layouts):
        if i == warm:
            graphs = graphs_compiled()
        seconds.append(step_seconds(model, optimizer, layout, device))
    timed, n_rows = seconds[warm:], packs[0].n_rows
    flops = [model_flops(model, config, work_of(pack, model)) / s for pack, s in zip(packs[warm:], timed, strict=True)]
    return {
        "model": name,
        "rows": n_rows,
        "rows_per_s": round(statistics.median(n_rows / s for s in timed), 1),
        "notes_per_s": round(statistics.median(p.n_notes / s for p, s in zip(packs[warm:], timed, strict=True)), 1),
        "tflops": round(statistics.median(flops) / 1e12, 2),
        "peak_mb": round(torch.cuda.max_memory_allocated() / (1 << 20)) if on_gpu else None,
        "recompilations": graphs_compiled() - graphs,
        "layout_ms": round(layout_ms, 1),
    }


def step_seconds(
    model: MeloFormer,
    optimizer: torch.optim.Optimizer,
    layout: MeloFormerLayout,
    device: torch.device,
) -> float:
    """One training step, from handing over the layout to the optimizer's end."""
    on_gpu = device.type == "cuda"
    wait: Callable[[], Any] = torch.cuda.synchronize if on_gpu else lambda: None
    wait()
    began = time.perf_counter()
    precision = torch.autocast("cuda", dtype=torch.bfloat16) if on_gpu else nullcontext()
    with precision:
        here = layout.to(device)
        loss = model(here).sum() / here.n_notes
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    wait()
    return time.perf_counter() - began


def packs_of(folder: Path, length: int, count: int, seed: int) -> list[Pack]:
    """`count` packs of one window of exactly `length` rows each."""
    chosen = excerpts(folder, default_vocabulary(), length, count, np.random.default_rng(seed))
    return [pack_of([Window(rows=rows, first_bar=0)]) for rows, _ in chosen]


def on_cuda(folder: Path, *, seed: int, peak_tflops: float | None, compiled: bool, as_json: bool) -> None:
    """Measure and print.

    Raises:
        MeloError: there is no GPU.
    """
    if not torch.cuda.is_available():
        raise MeloError("--cuda: PyTorch finds no CUDA GPU here; run it on a machine with one, or leave out --cuda")
    device = torch.device("cuda")
    card = torch.cuda.get_device_name()
    peak = peak_flops(card, peak_tflops)
    found: dict[str, Any] = {}
    for length in ROWS:
        packs = packs_of(folder, length, WARM + TIMED, seed)
        found[f"{length} rows"] = [tried(name, packs, device, peak, compiled=compiled) for name in SPECS]
        print(f"{length:,} rows done", file=sys.stderr, flush=True)
    if as_json:
        print(json.dumps({**found, "card": card, "peak_tflops": peak and peak / 1e12}))
    else:
        printed(found, card, peak)


def tried(
    name: str, packs: Sequence[Pack], device: torch.device, peak: float | None, *, compiled: bool
) -> dict[str, Any]:
    """One entry; where the GPU's memory is not enough, one that says so."""
    try:
        found = measured(name, PRESETS["large"], packs, device, compiled=compiled)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        nothing = dict.fromkeys(("rows_per_s", "notes_per_s", "tflops", "peak_mb", "recompilations", "layout_ms"))
        return {"model": name, "rows": packs[0].n_rows, **nothing, "share_of_peak": None, "failed": "out of memory"}
    return {**found, "share_of_peak": peak and round(found["tflops"] * 1e12 / peak, 4)}


def printed(found: dict[str, Any], card: str, peak: float | None) -> None:
    """The table for people."""
    speed = f"{peak / 1e12:,.0f} TFLOP/s in bf16" if peak else "its peak is not known here: give --peak-tflops"
    print(f"{card} ({speed}); `large`, one sequence a step, forward, backward and AdamW\n")
    print(f"{'rows':>6}  {'model':12}{'rows/s':>9}{'of peak':>9}{'peak MB':>10}{'recompiled':>12}{'layout ms':>11}")
    for entries in found.values():
        for e in entries:
            if "failed" in e:
                print(f"{e['rows']:>6}  {e['model']:12}{e['failed']:>9}")
                continue
            share = f"{e['share_of_peak']:.1%}" if e["share_of_peak"] else ""
            print(
                f"{e['rows']:>6}  {e['model']:12}{e['rows_per_s']:>9,.0f}{share:>9}{e['peak_mb']:>10,}"
                f"{e['recompilations']:>12}{e['layout_ms']:>11.1f}"
            )
        ours, dense = (e["rows_per_s"] for e in entries)
        if ours and dense:
            print(f"{'':6}  ours is {ours / dense:.2f} times as fast")
