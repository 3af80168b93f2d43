"""Cached decoding of windows with a middle: states equal the full forward, and the cache drops what no later row sees."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_models import SEED, masked_window, small
from strategies import specs

from masks.spec import MaskSpec
from meloctl.dataset.packs import pack_of
from meloctl.model.attention.gates import LAST_OFFSET
from meloctl.model.meloformer.decoder import MeloFormerDecoder
from meloctl.rows.vocabulary import FIELDS


def states_step_by_step(model, windows):
    """Each window's states, several windows side by side."""
    decoder = MeloFormerDecoder(model, len(windows), first_masked_bar=windows[0].middle.bar)
    states = [[s] for s in decoder.prefill([torch.empty(0, len(FIELDS), dtype=torch.int64)] * len(windows))]
    going = list(range(len(windows)))
    for i in range(max(len(w.rows) for w in windows) - 1):
        on = [n for n in going if i < len(windows[n].rows) - 1]
        decoder.keep([going.index(n) for n in on])
        going = on
        rows = torch.from_numpy(np.stack([windows[n].rows[i] for n in going]).astype(np.int64))
        for n, state in zip(going, decoder.step(rows), strict=True):
            states[n].append(state)
    return [torch.stack(some) for some in states]


@settings(max_examples=8)
@given(specs(most=6), st.integers(0, 10**6), st.integers(0, 8), st.booleans())
@example(MaskSpec(same=(2,), near=0, far=(3,), summaries=False), 3, 2, False)  # offsets alone, on both sides
def test_states_equal_the_full_forward(spec, seed, first, some):
    model = small(spec, layers=3)
    several = [masked_window(seed + i, first=first, last=min(8, first + i), some=some) for i in range(3)]
    for made, states in zip(several, states_step_by_step(model, several), strict=True):
        torch.testing.assert_close(states, model.states(model.layout(pack_of([made]))), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("summaries", [False, True])
@pytest.mark.parametrize("drums", ["masked", "exempt"])
def test_states_equal_the_full_forward_under_gates(drums, summaries):
    model = small(MaskSpec(same=(1,), near=0, far=(), drums=drums, summaries=summaries), layers=2, gated=True)
    torch.nn.init.normal_(model.gates.value, std=2.0)
    made = masked_window(7, bars=LAST_OFFSET + 9, first=2, last=5)
    (states,) = states_step_by_step(model, [made])
    torch.testing.assert_close(states, model.states(model.layout(pack_of([made]))), rtol=1e-9, atol=1e-9)


def held_bars(same, far, first, last):
    """Bars whose rows are still cached after the last row of a window of 40 bars."""
    model = small(MaskSpec(same=same, near=0, far=far, summaries=True))
    made = masked_window(1, bars=40, first=first, last=last)
    decoder = MeloFormerDecoder(model, first_masked_bar=first)
    for row in made.rows:
        decoder.step(torch.from_numpy(row[None].astype(np.int64)))
    segments = decoder.pieces[0].segments
    return {int(b) for (in_middle, _), s in segments.items() if not in_middle for b in s.bar[s.first : s.end]}


def test_the_cache_keeps_what_the_middle_will_see_and_nothing_else():
    # two bars back at most: from bar 30 on those from 28 on are kept for the middle, and bar 31 still sees 29
    assert held_bars((2,), (), first=30, last=31) == set(range(29, 40))
    assert held_bars("full", (), first=30, last=31) == set(range(40))


def test_a_middle_at_the_end_needs_the_cache_of_plain_generation():
    assert min(held_bars((2,), (1,), first=39, last=39)) == 37


def test_the_seeds_mask_with_a_middle_at_the_beginning():
    model = small(SEED, layers=2)
    made = masked_window(5, first=0, last=2)
    (states,) = states_step_by_step(model, [made])
    torch.testing.assert_close(states, model.states(model.layout(pack_of([made]))), rtol=1e-9, atol=1e-9)
