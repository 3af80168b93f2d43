"""Prefill: one forward pass over prompts leaves the states and the cache that reading them row by row leaves."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sibling_models import sibling, started
from small_models import EXEMPT, SEED, masked_window, music, small
from strategies import specs

from masks.rules.baselines import museformer_mask, window_mask
from masks.spec import MOST_OFFSET, MaskSpec
from meloctl.model.attention.gates import LAST_OFFSET
from meloctl.model.decoding import start_decoding
from meloctl.model.encoder_decoder.model import EncoderDecoder
from meloctl.model.meloformer.decoder import MeloFormerDecoder
from meloctl.model.music_transformer.model import MusicTransformer
from meloctl.model.prompts import distinct_prompts
from meloctl.rows.vocabulary import FIELDS, PITCH

pytestmark = pytest.mark.usefixtures("one_thread")

NO_ROWS = torch.empty(0, len(FIELDS), dtype=torch.int64)
DENSE = MaskSpec(same="full", near=MOST_OFFSET, far=(), summaries=False)
assert_close = partial(torch.testing.assert_close, rtol=1e-9, atol=1e-9)


def model_of(spec, *, gated=False, layers=2):
    """A small model whose gates, where it has some, are neither open nor shut, and whose norms are not 1."""
    model = small(spec, layers=layers, gated=gated)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    if gated:
        torch.nn.init.normal_(model.gates.value, std=2.0)
    return model


def read_by_row(model, prompt, **how):
    """A decoder that has read one prompt (L, F) row by row, and the state (1, C) after it."""
    decoder = MeloFormerDecoder(model, **how)
    states = decoder.prefill([NO_ROWS])
    for row in prompt:
        states = decoder.step(row[None])
    return decoder, states


def assert_same_segment(one, other):
    """Assert that two segments hold the same entries; headroom may differ."""
    assert one.bar[one.first : one.end].tolist() == other.bar[other.first : other.end].tolist()
    assert_close(one.kv[:, :, :, one.first : one.end], other.kv[:, :, :, other.first : other.end])


def assert_same_cache(one, other):
    """Assert that two caches of a piece hold the same, in the same order."""
    assert (one.bar, one.in_middle, one.drums) == (other.bar, other.in_middle, other.drums)
    assert list(one.segments) == list(other.segments)
    for key in one.segments:
        assert_same_segment(one.segments[key], other.segments[key])
    assert_same_segment(one.summaries, other.summaries)
    assert_same_segment(one.summaries2, other.summaries2)
    a, b = one.cell, other.cell
    assert (a is None) == (b is None)
    if a and b:
        assert (a.bar, a.part) == (b.bar, b.part)
        assert (a.segment is one.scratch) == (b.segment is other.scratch)
        assert a.first_own - a.first == b.first_own - b.first
        assert_close(a.segment.kv[:, :, :, a.first : a.segment.end], b.segment.kv[:, :, :, b.first : b.segment.end])
        assert (a.gates is None) == (b.gates is None)
        assert a.gates is None or torch.equal(a.gates, b.gates)


def assert_prefill_equals_row_by_row(model, pieces, lengths, **how):
    """Prefill so many rows of each piece (L, F), and compare states and caches now, and states as rows follow."""
    every = [read_by_row(model, rows[:n], **how) for rows, n in zip(pieces, lengths, strict=True)]
    decoder = MeloFormerDecoder(model, len(pieces), **how)
    states = decoder.prefill([rows[:n] for rows, n in zip(pieces, lengths, strict=True)])
    for cache, state, (reference, expected) in zip(decoder.pieces, states, every, strict=True):
        assert_close(state, expected[0])
        assert_same_cache(cache, reference.pieces[0])
    for i in range(min(len(rows) - n for rows, n in zip(pieces, lengths, strict=True))):
        following = torch.stack([rows[n + i] for rows, n in zip(pieces, lengths, strict=True)])
        for state, row, (reference, _) in zip(decoder.step(following), following, every, strict=True):
            assert_close(state, reference.step(row[None])[0])
    for cache, (reference, _) in zip(decoder.pieces, every, strict=True):
        assert_same_cache(cache, reference.pieces[0])


@settings(max_examples=40)
@given(specs(most=6), st.booleans(), st.integers(0, 10**6), st.lists(st.floats(0, 1), min_size=1, max_size=4))
@example(EXEMPT, False, 0, [0.5])
@example(DENSE, False, 1, [0.3, 0.9])
@example(museformer_mask(), False, 2, [0.0, 0.7])
@example(window_mask(2), False, 3, [0.9])
@example(SEED, True, 4, [0.4, 0.4, 0.6])
def test_prefill_equals_row_by_row(spec, gated, seed, shares):
    # prompts end anywhere: between rows of a cell, behind a header row, before the first row
    pieces = [music(seed + i, bars=5 + i)[0] for i in range(len(shares))]
    lengths = [int(share * (len(rows) - 1)) for share, rows in zip(shares, pieces, strict=True)]
    assert_prefill_equals_row_by_row(model_of(spec, gated=gated), pieces, lengths)


@settings(max_examples=20)
@given(specs(most=6), st.booleans(), st.integers(0, 10**6))
def test_equal_prompts_go_different_ways(spec, gated, seed):
    # three pieces begin alike and go on differently: what one writes is not in another's cache
    one, other = music(seed, bars=6)[0], music(seed + 1, bars=6)[0]
    n = len(one) // 2
    third = one.clone()
    third[n:, PITCH] = torch.where(third[n:, PITCH] >= 0, 127 - third[n:, PITCH], third[n:, PITCH])
    assert_prefill_equals_row_by_row(model_of(spec, gated=gated), [one, other, third, one], [n, n, n, n])


@settings(max_examples=30)
@given(specs(most=6), st.booleans(), st.integers(0, 10**6), st.integers(0, 8), st.booleans(), st.floats(0, 1))
@example(
    MaskSpec(same=(2,), near=0, far=(3,), summaries=False), False, 3, 2, False, 0.9
)  # offsets alone, on both sides
def test_prefill_of_masked_bars_equals_row_by_row(spec, gated, seed, first, some, share):
    # of windows whose middle comes last, the prompt ends before, within or behind the first infill header
    several = [masked_window(seed + i, first=first, last=min(8, first + i), some=some) for i in range(2)]
    pieces = [torch.from_numpy(w.rows.astype(np.int64)) for w in several]
    lengths = [int(share * (len(rows) - 1)) for rows in pieces]
    assert_prefill_equals_row_by_row(model_of(spec, gated=gated), pieces, lengths, first_masked_bar=first)


@pytest.mark.parametrize("summaries", [False, True])
@pytest.mark.parametrize("drums", ["masked", "exempt"])
def test_prefill_of_long_prompts_under_gates(drums, summaries):
    model = model_of(MaskSpec(same=(1,), near=0, far=(), drums=drums, summaries=summaries), gated=True)
    rows, bar, _ = music(7, bars=LAST_OFFSET + 5)
    assert bar[-1] > LAST_OFFSET + 1  # two offsets and more share the last gate
    assert_prefill_equals_row_by_row(model, [rows], [len(rows) - 20])


def test_what_no_later_row_can_see_takes_no_memory():
    rows = music(1, bars=80)[0][:-1]
    decoder = MeloFormerDecoder(model_of(MaskSpec(same=(2,), near=1, far=(), summaries=False)))
    decoder.prefill([rows])
    reference, _ = read_by_row(decoder.model, rows)
    assert decoder.nbytes <= reference.most_bytes
    assert sum(map(len, decoder.pieces[0].segments.values())) < len(rows) / 10


def test_distinct_prompts():
    a, b, same = torch.tensor([[1, 2]]), torch.tensor([[1, 3]]), torch.tensor([[1, 2]])
    distinct, prompt_of = distinct_prompts([a, b, same, a[:0]])
    assert [rows.tolist() for rows in distinct] == [[[1, 2]], [[1, 3]], []]
    assert prompt_of == [0, 1, 0, 2]


def test_each_distinct_prompt_is_read_once(monkeypatch):
    model, lengths = model_of(SEED), []
    layout = model.layout
    monkeypatch.setattr(model, "layout", lambda pack: lengths.append(pack.n_rows) or layout(pack))
    rows, other = music(3, bars=4)[0][:-1], music(4, bars=3)[0][:-1]
    start_decoding(model, [some.numpy() for some in (rows, other, rows, rows, NO_ROWS)])
    assert lengths == [len(rows) + len(other)]


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0, 1), st.sampled_from([4, 28, 400]))
def test_prefill_of_the_music_transformer_equals_row_by_row(seed, share, context):
    model = sibling(MusicTransformer, context=context)
    pieces = [music(seed + i, bars=5)[0] for i in (0, 1, 0)]
    n = int(share * (min(map(len, pieces)) - 1))
    decoder, states = started(model, [rows[:n] for rows in pieces])
    reference, expected = started(model, [NO_ROWS] * 3)
    for i in range(n):
        expected = reference.step(torch.stack([rows[i] for rows in pieces]))
    assert_close(states, expected)
    assert_close(decoder.cache.kv[:, :, :, :, :n], reference.cache.kv[:, :, :, :, :n])
    assert decoder.cache.rows == reference.cache.rows
    for i in range(n, min(map(len, pieces))):
        following = torch.stack([rows[i] for rows in pieces])
        assert_close(decoder.step(following), reference.step(following))


def test_equal_primers_of_the_encoder_decoder_equal_each_alone():
    model, primer, other = sibling(EncoderDecoder), music(1, bars=4)[0][:-1], music(1, bars=4)[0][:-1]
    other[1, PITCH] += 3
    decoder, states = started(model, [primer, other, primer])
    following = music(2, bars=2)[0]
    for i, prompt in enumerate((primer, other, primer)):
        alone, expected = started(model, [prompt])
        assert_close(states[i], expected[0])
        assert_close(decoder.primer[:, :, i], alone.primer[:, :, 0])
    for row in following[:-1]:
        one, _, same = decoder.step(row[None].expand(3, -1))
        assert_close(one, same)


def test_products_in_bf16_are_near():
    # wide enough for the largest products to be taken in bf16
    model = small(SEED, width=384, heads=3, kv_heads=1, hidden=640).float()
    rows = music(5, bars=4)[0][:-1]
    exact, near = MeloFormerDecoder(model), MeloFormerDecoder(model, half=True)
    a, b = exact.prefill([rows]), near.prefill([rows])
    torch.testing.assert_close(a, b, rtol=0.1, atol=0.1)
    assert not torch.equal(a, b)
    torch.testing.assert_close(exact.step(rows[:1]), near.step(rows[:1]), rtol=0.1, atol=0.1)
    assert a.dtype == b.dtype == near.pieces[0].like.dtype == torch.float32
