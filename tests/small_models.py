"""Small models, random rows and packs for tests."""

import numpy as np
import torch
from conftest import piece_of

from analysis.piece import Part
from masks.spec import MaskSpec
from meloctl.dataset.infill_windows import infill_window
from meloctl.dataset.packs import Pack
from meloctl.dataset.windows import Window
from meloctl.generation.constraints import Constraints
from meloctl.generation.new_bars import bars_behind
from meloctl.generation.options import Sampling
from meloctl.generation.row_writers import RowWriters
from meloctl.generation.sampler import generate
from meloctl.model.config import ModelConfig
from meloctl.model.meloformer.model import MeloFormer
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, PITCH, default_vocabulary

V = default_vocabulary()


SEED = MaskSpec(same="full", near=2, far=(4,), summaries=True)


EXEMPT = MaskSpec(same=(4,), near=0, far=(3,), drums="exempt", summaries=False)


def small(spec, layers=2, *, gated=False, **change):
    torch.manual_seed(0)
    sizes = {
        "layers": layers,
        "width": 24,
        "heads": 2,
        "kv_heads": 1,
        "hidden": 29,
        "field_hidden": 13,
        "dropout": 0.0,
        "context": 64,
    }
    return MeloFormer(ModelConfig(**{**sizes, **change}), V, spec, gated=gated).double().eval()


def music(seed, bars=8, parts=3, signatures=None):
    """Rows (L, F) of a random piece, some cells empty, and its bar and part by row."""
    rng = np.random.default_rng(seed)
    notes = [
        (p, 48 * b + int(rng.integers(0, 48)), 6, int(rng.integers(40, 80)))
        for b in range(bars)
        for p in range(parts)
        for _ in range(rng.integers(0, 3))
    ]
    notes += [(p, 0, 6, 50 + p) for p in range(parts)] + [(0, 48 * (bars - 1), 6, 60)]
    drums_first = tuple(Part(program=10 * p, is_drum=p == 0) for p in range(parts))
    rows, _ = encode(piece_of(notes, parts=drums_first, signatures=signatures), V)
    bar = np.cumsum(rows[:, INSTRUMENT] == V.bar) - 1
    part = rows[:, INSTRUMENT].astype(int) * 100 + rows[:, INSTANCE]
    return torch.from_numpy(rows.astype(np.int64)), bar.tolist(), part.tolist()


def pack_of_rows(*windows, first_bar=None):
    """A pack of windows of rows (L, F)."""
    return Pack(
        rows=np.concatenate([np.asarray(w, dtype=np.int64) for w in windows]),
        starts=np.cumsum([0, *(len(w) for w in windows)]),
        first_bar=np.array([0] * len(windows) if first_bar is None else first_bar, dtype=np.int64),
    )


def nll_of(model, *windows, first_bar=None):
    return model(model.layout(pack_of_rows(*windows, first_bar=first_bar)))


def states_of(model, *windows):
    return model.states(model.layout(pack_of_rows(*windows)))


def with_sharp_attention(model):
    """Weights so large that attention is sharp: what is small in a fresh model shows."""
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(10)
    return model


def masked_window(seed, bars=9, first=3, last=6, some=False, first_bar=0):
    """A window whose bars first..last are masked, with all of their notes or those of one part."""
    rows = music(seed, bars)[0].numpy().astype(np.int16)
    notes = rows[rows[:, PITCH] >= 0]
    parts = [(int(notes[-1, INSTRUMENT]), int(notes[-1, INSTANCE]))] if some else None
    made = infill_window(rows, range(first, last + 1), parts, V)
    return Window(rows=made.rows, first_bar=first_bar, middle=made.middle)


def row_writers(constraints, seeds=(0,), prompt=None, room=None):
    """Writers of a piece for each seed."""
    piece = bars_behind(prompt, constraints, V, room=room)
    return RowWriters([piece] * len(seeds), [np.random.default_rng(seed) for seed in seeds])


def generate_rows(model, *, bars, seed=0, on_bar=lambda: None, parts=None, **how):
    """The rows of one piece."""
    writers = row_writers(Constraints(bars=bars, parts=parts), [seed])
    generate(model, writers, Sampling(**how), on_bar=on_bar)
    return writers.rows(0)


def always(model, instrument):
    """Make a model that prefers one instrument whatever comes before."""
    with torch.no_grad():
        for head in model.heads.heads:
            head.outer.weight.zero_()
            head.outer.bias.zero_()
        model.heads.heads[INSTRUMENT].outer.bias[instrument] = 1e4
    return model


def with_short_bars(model):
    """An untrained model that closes a bar after some notes, not after sixty."""
    with torch.no_grad():
        model.heads.heads[INSTRUMENT].outer.bias[[V.end, V.infill_bar]] = 3.0
    return model
