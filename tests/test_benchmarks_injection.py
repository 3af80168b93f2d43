"""benchmarks/injection.py: what is replaced and what is not, and no trace afterwards."""

import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from small_models import SEED, V, music, nll_of, pack_of_rows, row_writers, small, with_short_bars

from meloctl.generation.constraints import Constraints
from meloctl.generation.options import Sampling
from meloctl.generation.sampler import generate

sys.path.append(str(ROOT / "benchmarks"))

import injection


def test_what_is_seen_in_the_place_of_summaries():
    random, s = torch.Generator().manual_seed(0), torch.tensor([[3.0, 4.0], [0.0, 1.0], [2.0, 0.0]])
    other = torch.tensor([[9.0, 9.0], [7.0, 7.0]])
    assert injection.replaced("zeros", s, other, random).tolist() == [[0, 0]] * 3
    assert injection.replaced("noise", s, other, random).norm(dim=1).tolist() == pytest.approx([5, 1, 2])
    assert sorted(injection.replaced("shuffled", s, other, random).tolist()) == sorted(s.tolist())
    assert injection.replaced("other", s, other, random).tolist() == [[9, 9], [7, 7], [9, 9]]


def test_injection_changes_what_comes_behind_the_first_bar_alone_and_leaves_no_trace():
    model, (rows, bar, _) = small(SEED), music(0)
    before = nll_of(model, rows)
    with injection.seen_as(model, lambda _, s: torch.zeros_like(s)):
        under = nll_of(model, rows)
    with injection.seen_as(model, lambda _, s: s):
        same = nll_of(model, rows)
    first = torch.tensor(bar) == 0
    assert torch.equal(under[first], before[first])
    assert not torch.equal(under[~first], before[~first])
    assert torch.equal(same, before)
    assert torch.equal(nll_of(model, rows), before)


def test_summaries_are_kept_by_layer_and_put_back_they_change_nothing():
    model, (rows, bar, _) = small(SEED), music(1)
    layout = model.layout(pack_of_rows(rows))
    kept = injection.summaries_of(model, layout, max(bar) + 1)
    assert kept.shape == (2, max(bar) + 1, model.config.width)
    before = model(layout)
    with injection.seen_as(model, lambda y, s: torch.cat([kept[y], s[max(bar) + 1 :]])):
        assert torch.equal(model(layout), before)


def test_pieces_without_injection_are_those_of_the_decoder():
    model = with_short_bars(small(SEED)).float()
    others = [torch.zeros(2, 3, model.config.width)] * 2
    found = injection.written(model, injection.InjectedDecoder(model, injection.OWN, others, 0), 4, seed=5)
    writers = row_writers(Constraints(bars=4), [5, 6])
    generate(model, writers, Sampling())
    assert [rows.tolist() for rows in found] == [writers.rows(i).tolist() for i in range(2)]
    injected = injection.written(model, injection.InjectedDecoder(model, "zeros", others, 0), 4, seed=5)
    first = [np.flatnonzero(rows[:, 0] == V.bar)[1] for rows in found]
    for mine, its, end in zip(found, injected, first, strict=True):
        assert np.array_equal(mine[: end + 1], its[: end + 1])
