"""A trained model infills a bar from what comes after it: music whose second bar is known only from the fourth."""

import math

import numpy as np
import pytest
import torch
from conftest import piece_of

from masks.spec import MaskSpec
from meloctl.dataset.infill_windows import infill_window
from meloctl.dataset.packs import pack_of
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Window
from meloctl.model.config import ModelConfig
from meloctl.model.meloformer.model import MeloFormer
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import INSTRUMENT, PITCH, default_vocabulary

V = default_vocabulary()
SIZES = {"layers": 2, "width": 64, "heads": 4, "kv_heads": 2, "hidden": 128, "field_hidden": 64, "dropout": 0.0}


def song(random):
    """Four bars of four notes out of eight pitches at random; the fourth bar equals the second."""
    tune = [random.integers(60, 68, 4) for _ in range(4)]
    tune[3] = tune[1]
    return encode(piece_of([(0, 48 * b + 12 * i, 12, int(tune[b][i])) for b in range(4) for i in range(4)]), V)[0]


def pitch_bits(model, window, chosen):
    """Bits of the pitch of each chosen note row."""
    with torch.no_grad():
        nll = model(model.layout(pack_of([window])))[:, PITCH]
    return float(nll[torch.from_numpy(chosen)].mean()) / math.log(2)


@pytest.mark.slow
def test_a_masked_bar_is_infilled_from_what_comes_after_it():
    random = np.random.default_rng(0)
    training = [Window(rows=song(random), first_bar=0) for _ in range(600)]
    torch.manual_seed(0)
    spec = MaskSpec(same="full", near=2, far=(), summaries=True)
    model = MeloFormer(ModelConfig(context=64, **SIZES), V, spec)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    stream = PackStream(training, 1024, V, seed=0, infill=0.5)
    for n in range(1200):
        layout = model.layout(stream.pack_at(n))
        loss = model(layout).sum() / layout.n_notes
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    infilled, in_order = [], []
    for rows in (song(random) for _ in range(60)):
        note, bar = rows[:, PITCH] >= 0, np.cumsum(rows[:, INSTRUMENT] == V.bar) - 1
        window = infill_window(rows, range(1, 2), None, V)
        behind = (window.rows[:, PITCH] >= 0) & (np.arange(len(window.rows)) > window.middle.row)
        infilled.append(pitch_bits(model, window, behind))
        in_order.append(pitch_bits(model, Window(rows=rows, first_bar=0), note & (bar == 1)))
    assert np.mean(in_order) > 2.9  # eight random pitches: three bits, whatever came before
    assert np.mean(infilled) < 2.4  # but not where the fourth bar is context
