"""What injection into bar summaries can do: a trained MeloFormer whose rows see other summaries of past bars than its own.

    python benchmarks/injection.py RUN [--windows 1024] [--pieces 64] [--bars 8] [--seed 0] [--json]
    python benchmarks/injection.py --train FOLDER --work WORKSPACE [--windows 4096] [--minutes 6]

RUN is a finished training run, as melo/model/NAME. In every layer, rows of bar b see a second projection of the summaries S' of
bars before b (`meloctl.model.meloformer.model.layer_forward`). Before that projection, S' is replaced, in one layer or in all, by

    zeros       nothing
    noise       a random direction, each vector as long as its own
    shuffled    that of another bar of the same piece
    other       that of the same bar of another piece

Reported are the bits a note that this costs on held-out pieces (their first windows), with 95 % intervals over pieces; and, for
pieces written under each injection into all layers from the same seeds, how far eight attributes move, in standard deviations of
real pieces. What is written with the summaries of other pieces should follow these pieces if summaries steer: the correlation of
each attribute with that of the piece the summaries come from.

The second form trains the model under Museformer's mask, with windows of so many rows, to have one whose mask hides more.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from analysis.arrays import Floats
from analysis.intervals import Estimate, mean_estimates, ratio_estimates, resample_counts
from meloctl.dataset.packs import Pack, pack_of
from meloctl.dataset.windows import Window, windows
from meloctl.evaluation.held_out import held_out_pieces, trained_on
from meloctl.evaluation.text_control import correlation
from meloctl.generation.constraints import Constraints
from meloctl.generation.new_bars import bars_behind
from meloctl.generation.options import Sampling
from meloctl.generation.row_writers import RowWriters
from meloctl.model.checkpoint import load_model, read_description
from meloctl.model.decoding import ArrayDecoder
from meloctl.model.head_weights import head_weights
from meloctl.model.meloformer.decoder import MeloFormerDecoder
from meloctl.model.meloformer.fused import LayerWeights
from meloctl.model.meloformer.kv_cache import PieceKVCache
from meloctl.model.meloformer.layout import MeloFormerLayout, places_of
from meloctl.model.meloformer.model import KV, MeloFormer
from meloctl.progress import SilentReporter
from meloctl.rows.attributes import ATTRIBUTES, piece_attributes
from meloctl.rows.codec import Rows
from meloctl.workspace import Workspace

KINDS = ("zeros", "noise", "shuffled", "other")
OWN = "own"
"""No injection."""

Replace = Callable[[int, Tensor], Tensor]
"""Layer, and S' (T, C) → what is seen in its place (T, C)."""


# Loss on held-out music


@contextmanager
def seen_as(model: MeloFormer, changed: Replace) -> Iterator[None]:
    """Rows see other summaries."""

    def project(layer: int, project2: Callable[[Tensor, Tensor], KV], s_TC: Tensor, rotation: Tensor) -> KV:
        return project2(changed(layer, s_TC), rotation)

    for i, layer in enumerate(model.layers):
        layer.project2 = partial(project, i, layer.project2)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in model.layers:
            del layer.project2


def replaced(kind: str, s_TC: Tensor, other_TC: Tensor, random: torch.Generator) -> Tensor:
    """Summaries that are seen in the place of s_TC.

    Args:
        kind: one of KINDS.
        s_TC: of all bars of one piece.
        other_TC: of another piece, in the same layer; repeated where it has fewer bars.
    """
    if kind == "zeros":
        return torch.zeros_like(s_TC)
    if kind == "noise":
        noise = torch.randn(s_TC.shape, generator=random)
        return noise * (s_TC.norm(dim=1) / noise.norm(dim=1))[:, None]
    if kind == "shuffled":
        return s_TC[torch.randperm(len(s_TC), generator=random)]
    return other_TC[torch.arange(len(s_TC)) % len(other_TC)]


@torch.no_grad()
def bits_of(model: MeloFormer, layout: MeloFormerLayout) -> float:
    """Loss of a window, in bits."""
    return float(model(layout).double().sum()) / np.log(2)


@torch.no_grad()
def summaries_of(model: MeloFormer, layout: MeloFormerLayout, bars: int) -> Tensor:
    """(Y, T, C) S' of each layer of a window of so many bars."""
    found = []

    def keep(_: int, s_TC: Tensor) -> Tensor:
        found.append(s_TC[:bars])
        return s_TC

    with seen_as(model, keep):
        model.states(layout)
    return torch.stack(found)


@dataclass(frozen=True, kw_only=True)
class Held:
    """A window of a held-out piece."""

    pack: Pack
    layout: MeloFormerLayout
    bars: int
    summaries: Tensor
    """(Y, T, C) S' of each layer."""


def held_windows(model: MeloFormer, pieces: Sequence[Rows], rows: int) -> list[Held]:
    """The first window of each piece, of so many rows at most."""
    out = []
    for piece in pieces:
        window: Window = windows([piece], rows, model.vocabulary)[0]
        pack = pack_of([window])
        layout, bars = model.layout(pack), int(places_of(pack, model.vocabulary).segment.max()) + 1
        if bars > 1:
            kept = summaries_of(model, layout, bars)
            out.append(Held(pack=pack, layout=layout, bars=bars, summaries=kept))
    return out


def injected_bits(model: MeloFormer, one: Held, other: Held, kind: str, where: str, seed: int) -> float:
    """Loss of a window in bits, some of whose summaries are replaced before rows see them.

    Args:
        other: a window of another piece.
        kind: one of KINDS.
        where: a layer's number, or "all".
        seed: of noise and order.
    """
    random = torch.Generator().manual_seed(seed)

    def changed(layer: int, s_TC: Tensor) -> Tensor:
        if where not in ("all", str(layer)):
            return s_TC
        return torch.cat([replaced(kind, s_TC[: one.bars], other.summaries[layer], random), s_TC[one.bars :]])

    with seen_as(model, changed):
        return bits_of(model, one.layout)


def losses(model: MeloFormer, held: Sequence[Held], seed: int) -> dict[tuple[str, str], Floats]:
    """{(kind, layer or "all"): (P,) bits of each window} and those of the model's own summaries."""
    out: dict[tuple[str, str], Floats] = {(OWN, "all"): np.array([bits_of(model, one.layout) for one in held])}
    pairs = list(zip(held, [*held[1:], held[0]], strict=True))
    for kind in KINDS:
        for where in ("all", *map(str, range(len(model.layers)))):
            bits = [injected_bits(model, a, b, kind, where, seed + n) for n, (a, b) in enumerate(pairs)]
            out[kind, where] = np.array(bits)
    return out


def loss_table(bits: dict[tuple[str, str], Floats], notes: Floats, seed: int) -> dict[str, dict[str, Estimate]]:
    """{kind: {layer or "all": bits a note more than with the model's own summaries}}; the own ones' bits a note for "own"."""
    counts = resample_counts(len(notes), np.random.default_rng(seed))
    table: dict[str, dict[str, Estimate]] = {}
    own = bits[OWN, "all"]
    for (kind, where), some in bits.items():
        more = some if kind == OWN else some - own
        table.setdefault(kind, {})[where] = ratio_estimates(more[:, None], notes, counts)[0]
    return table


# Music written under injection


@dataclass(frozen=True, kw_only=True)
class InjectedWeights(LayerWeights):
    """A layer whose summaries are replaced before rows see them."""

    changed: Callable[[Tensor], Tensor]

    def project2(self, s_TC: Tensor, rotation_TK: Tensor) -> KV:
        """As of the layer, of other summaries."""
        return LayerWeights.project2(self, self.changed(s_TC), rotation_TK)


class InjectedDecoder(MeloFormerDecoder):
    """Writes pieces whose rows see other summaries of the bars that have closed."""

    def __init__(self, model: MeloFormer, kind: str, others: Sequence[Tensor], seed: int) -> None:
        """A decoder of as many pieces as there are others.

        Args:
            kind: one of KINDS, or OWN.
            others: (Y, T, C) summaries of other pieces, one a piece.
        """
        super().__init__(model, len(others))
        self._kind, self._others = kind, others
        self._piece = {id(piece): n for n, piece in enumerate(self.pieces)}
        self._random = torch.Generator().manual_seed(seed)
        self._past: list[list[list[Tensor]]] = [[[] for _ in model.layers] for _ in others]
        self._now = 0
        layers = self.weights.layers
        for y, layer in enumerate(layers):
            own = {field.name: getattr(layer, field.name) for field in fields(layer)}
            layers[y] = InjectedWeights(**own, changed=partial(self._changed, y))

    def _summarise(self, piece: PieceKVCache) -> None:
        self._now = self._piece[id(piece)]
        super()._summarise(piece)

    def _changed(self, layer: int, s_1C: Tensor) -> Tensor:
        past = self._past[self._now][layer]
        past.append(s_1C)
        bar = len(past) - 1
        if self._kind == OWN:
            return s_1C
        if self._kind == "shuffled":
            return past[int(torch.randint(len(past), (1,), generator=self._random))]
        other_TC = self._others[self._now][layer]
        return replaced(self._kind, s_1C, other_TC[[bar % len(other_TC)]], self._random)


def written(model: MeloFormer, decoder: InjectedDecoder, bars: int, seed: int) -> list[Rows]:
    """Pieces of so many bars, one of each seed from `seed` on."""
    count = len(decoder.pieces)
    fresh = bars_behind(None, Constraints(bars=bars), model.vocabulary)
    writers = RowWriters([fresh] * count, [np.random.default_rng(seed + i) for i in range(count)])
    arrays, heads = ArrayDecoder(decoder), head_weights(model.heads)
    states = arrays.prefill([np.zeros((0, 8), dtype=np.int64)] * count)
    while len(writers.going):
        rows = writers.sample(states, heads, Sampling())
        if writers.append(rows):
            left = writers.drop_done()
            arrays.keep(left)
            rows = rows[left]
        if len(rows):
            states = arrays.step(rows)
    return [writers.rows(i) for i in range(count)]


def first_bars(rows: Rows, bars: int, bar: int) -> Rows:
    """(L, F) the rows of the first bars of a piece."""
    starts = np.append(np.flatnonzero(rows[:, 0] == bar), len(rows))
    return rows[: starts[min(bars, len(starts) - 1)]]


def attribute_table(
    model: MeloFormer, held: Sequence[Held], pieces: Sequence[Rows], count: int, bars: int, seed: int
) -> dict[str, Any]:
    """{"moved": {kind: (A,) estimates}, "follows": (A,) correlations with the piece the summaries come from}."""
    vocabulary = model.vocabulary

    def measured(some: Sequence[Rows]) -> Floats:
        return np.stack([piece_attributes(first_bars(rows, bars, vocabulary.bar), vocabulary) for rows in some])

    scale = np.nanstd(measured(pieces), axis=0)
    scale[scale < 1e-6] = np.nan  # chorales have one velocity
    donor = [n % len(held) for n in range(count)]
    others = [held[n].summaries for n in donor]
    source = measured([held[n].pack.rows.astype(np.int16) for n in donor]) / scale
    levels = {}
    for kind in (OWN, *KINDS):
        decoder = InjectedDecoder(model, kind, others, seed)
        levels[kind] = measured(written(model, decoder, bars, seed)) / scale
    random = np.random.default_rng(seed)
    moved = {kind: mean_estimates(levels[kind] - levels[OWN], random) for kind in KINDS}
    follows = {
        kind: [correlation(x, y, random) for x, y in zip(source.T, levels[kind].T, strict=True)]
        for kind in (OWN, "other")
    }
    return {"moved": moved, "follows": follows}


# The command


def train_hiding(folder: Path, work: Path, rows: int, minutes: float) -> None:
    """Train `tiny` on a folder under Museformer's mask, with windows of so many rows."""
    from meloctl.cli.main import app
    from meloctl.model.config import PRESETS

    PRESETS["tiny"] = msgspec.structs.replace(PRESETS["tiny"], context=rows)
    train = ["train", "--model", "museformer", "--pack-rows", str(rows), "--minutes", f"{minutes:g}"]
    for words in (["stats", str(folder)], train):
        app([*words, "--work", str(work)], prog_name="meloctl", standalone_mode=False)


def measured(run: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Everything about one trained model."""
    about, trained = read_description(run), trained_on(run)
    model, _ = load_model(run)
    if not isinstance(model, MeloFormer) or not model.spec.summaries:
        raise SystemExit(f"error: {run}: not a model with summaries; give a run of MeloFormer")
    sides = held_out_pieces(Workspace(run.parent.parent), trained, about, SilentReporter())
    every = [rows for some in sides.values() for rows in some]
    pieces = every[:: -(-len(every) // args.pieces)]  # of all sets of a corpus
    held = held_windows(model, pieces, args.windows)
    notes = np.array([float(one.layout.n_notes) for one in held])
    loss = loss_table(losses(model, held, args.seed), notes, args.seed)
    attributes = attribute_table(model, held, pieces, args.count, args.bars, args.seed)
    return {"run": run.name, "pieces": len(held), "notes": int(notes.sum()), "loss": loss, **attributes}


def shown(found: Estimate, digits: int = 3) -> str:
    """value (low to high)"""
    return f"{found.value:+.{digits}f} ({found.low:+.{digits}f} to {found.high:+.{digits}f})"


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="melo/model/NAME")
    parser.add_argument("--windows", type=int, default=1024, help="rows of a window")
    parser.add_argument("--pieces", type=int, default=64, help="most held-out pieces")
    parser.add_argument("--count", type=int, default=64, help="pieces written under each injection")
    parser.add_argument("--bars", type=int, default=8, help="of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=Path, metavar="FOLDER", help="MIDI files: train a model and measure nothing")
    parser.add_argument("--work", type=Path, default=Path("melo"), help="workspace of --train")
    parser.add_argument("--minutes", type=float, default=6.0, help="of --train")
    parser.add_argument("--json", action="store_true", help="one object, for programs")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    if args.train:
        train_hiding(args.train, args.work, args.windows, args.minutes)
        return
    if not args.run:
        parser.error("give a training run, or --train FOLDER")
    found = measured(args.run, args)
    if args.json:
        print(json.dumps(found, default=vars))
        return
    print(f"{found['run']}: {found['pieces']} pieces, {found['notes']:,} notes, bits a note with its own summaries")
    print(f"  {shown(found['loss'][OWN]['all'])}; more with")
    for kind in KINDS:
        for where, value in found["loss"][kind].items():
            print(f"  {kind:9} {'all layers' if where == 'all' else f'layer {where}':11} {shown(value, 4)}")
    print(f"attributes of {args.count} pieces of {args.bars} bars, moved by standard deviations of real pieces")
    for a, name in enumerate(ATTRIBUTES):
        moves = "  ".join(f"{kind} {shown(found['moved'][kind][a], 2)}" for kind in KINDS)
        print(f"  {name:13} {moves}  follows {shown(found['follows']['other'][a], 2)}")


if __name__ == "__main__":
    main()
