"""The compiled decoder equals the torch decoder in every state: masks, gates, infill, prompts, several pieces, real files."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st
from small_models import EXEMPT, SEED, masked_window, music, row_writers, small, with_short_bars
from strategies import specs

from analysis.errors import MeloError
from analysis.midi import read_midi
from masks.rules.baselines import museformer_mask, window_mask
from masks.spec import MOST_OFFSET, MaskSpec
from meloctl.generation import sampler
from meloctl.generation.constraints import Constraints
from meloctl.generation.options import Sampling
from meloctl.model.attention.gates import LAST_OFFSET
from meloctl.model.bar_plans import BarPlans
from meloctl.model.decoding import ArrayDecoder
from meloctl.model.meloformer.compiled_decoder import CompiledDecoder
from meloctl.model.meloformer.decoder import MeloFormerDecoder
from meloctl.model.meloformer.packed_weights import bfloat16_bits, packed_weights
from meloctl.model.meloformer.page_loops import N_PAGES
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import FIELDS, default_vocabulary

pytestmark = pytest.mark.usefixtures("one_thread")

DENSE = MaskSpec(same="full", near=MOST_OFFSET, far=(), summaries=False)
MASKS = {"diary": SEED, "museformer": museformer_mask(), "window": window_mask(4), "dense": DENSE, "exempt": EXEMPT}
NEAR = {"rtol": 1e-4, "atol": 1e-4}


def model_of(spec, *, gated=False, layers=2, **change):
    """A small model in which every weight counts."""
    model = small(spec, layers=layers, gated=gated, **change).float()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    if gated:
        torch.nn.init.normal_(model.gates.value, std=2.0)
    return model


def assert_equal_in_every_state(model, pieces, lengths, **how):
    """Prefill so many rows (L, F) of each piece with both decoders, then feed the others; pieces end one after the other."""
    prompts = [rows[:n] for rows, n in zip(pieces, lengths, strict=True)]
    reference, decoder = (kind(model, len(pieces), **how) for kind in (MeloFormerDecoder, CompiledDecoder))
    expected, states = reference.prefill(list(map(torch.from_numpy, prompts))), decoder.prefill(prompts)
    np.testing.assert_allclose(states, expected.numpy(), **NEAR)
    going, i = list(range(len(pieces))), 0
    while True:
        on = [n for n in reversed(going) if lengths[n] + i < len(pieces[n]) - 1]
        if len(on) < len(going):
            for one in (reference, decoder):
                one.keep([going.index(n) for n in on])
            going = on
        if not going:
            break
        rows = np.stack([pieces[n][lengths[n] + i] for n in going])
        np.testing.assert_allclose(decoder.step(rows), reference.step(torch.from_numpy(rows)).numpy(), **NEAR)
        i += 1
    assert decoder.most_bytes > decoder.nbytes == 0


def rows_of(seed, bars):
    """(L, F) int64 of a random piece."""
    return music(seed, bars=bars)[0].numpy()


@settings(max_examples=30)
@given(specs(most=6), st.booleans(), st.integers(0, 10**6), st.lists(st.floats(0, 1), min_size=1, max_size=6))
@example(EXEMPT, False, 0, [0.5])
@example(DENSE, False, 1, [0.3, 0.9])
@example(museformer_mask(), False, 2, [0.0, 0.7])
@example(window_mask(2), False, 3, [0.9])
@example(SEED, True, 4, [0.4, 0.4, 0.6])
@example(SEED, False, 5, [0.0, 0.0, 0.2, 0.0, 0.0, 0.0])
def test_states_equal_those_of_the_torch_decoder(spec, gated, seed, shares):
    pieces = [rows_of(seed + i, bars=5 + i) for i in range(len(shares))]
    lengths = [int(share * (len(rows) - 2)) for share, rows in zip(shares, pieces, strict=True)]
    assert_equal_in_every_state(model_of(spec, gated=gated), pieces, lengths)


@settings(max_examples=20)
@given(specs(most=6), st.booleans(), st.integers(0, 10**6), st.integers(0, 8), st.booleans(), st.floats(0, 1))
@example(MaskSpec(same=(2,), near=0, far=(3,), summaries=False), False, 3, 2, False, 0.9)
def test_states_of_masked_bars_equal(spec, gated, seed, first, some, share):
    several = [masked_window(seed + i, first=first, last=min(8, first + i), some=some) for i in range(2)]
    pieces = [window.rows.astype(np.int64) for window in several]
    lengths = [int(share * (len(rows) - 2)) for rows in pieces]
    assert_equal_in_every_state(model_of(spec, gated=gated), pieces, lengths, first_masked_bar=first)


@settings(max_examples=10)
@given(specs(most=6), st.integers(0, 10**6), st.integers(1, 9))
def test_equal_prompts_go_different_ways(spec, seed, n):
    # five pieces begin alike and go on differently: what one writes is not in another's cache
    one = rows_of(seed, bars=6)
    n = min(n * len(one) // 10, len(one) - 2)
    pieces = [np.concatenate([one[:n], rows_of(seed + i, bars=7)[:-1]]) for i in range(5)]
    assert_equal_in_every_state(model_of(spec), pieces, [n] * 5)


@pytest.mark.parametrize("gated", [False, True])
def test_states_equal_over_more_bars_than_gates(gated):
    spec = MaskSpec(same=(1,), near=0, far=(), drums="exempt", summaries=True)
    rows = rows_of(7, bars=LAST_OFFSET + 5)
    assert_equal_in_every_state(model_of(spec, gated=gated), [rows, rows[: len(rows) // 2]], [0, 9])


@pytest.mark.parametrize(
    "sizes",
    [
        {"width": 96, "heads": 3, "kv_heads": 3, "hidden": 200},
        {"width": 128, "heads": 2, "kv_heads": 1, "hidden": 130},
        {"width": 48, "heads": 4, "kv_heads": 2, "hidden": 16},
    ],
)
def test_states_equal_in_other_sizes(sizes):
    model = model_of(SEED, layers=3, **sizes)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)  # or else a model as wide as this saturates
    assert_equal_in_every_state(model, [rows_of(seed, bars=9) for seed in range(5)], [0, 3, 0, 40, 0])


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("folder", ["chorales", "band"])
def test_states_of_whole_real_pieces_equal(folder, mask, real):
    paths = real(folder)[:3]
    pieces = [encode(read_midi(path), default_vocabulary())[0][:900].astype(np.int64) for path in paths]
    model = model_of(MASKS[mask], layers=2, width=96, heads=3, kv_heads=3, hidden=128)
    assert_equal_in_every_state(model, pieces, [0, 100, 50])


@pytest.mark.parametrize(
    "heads", [{"heads": 2, "kv_heads": 1}, {"heads": 3, "kv_heads": 3}, {"heads": 3, "kv_heads": 1}]
)
def test_numbers_rounded_to_bf16_are_near(heads):
    # five pieces, two of which begin with the same prompt
    model, rows = model_of(SEED, width=48, hidden=64, **heads), rows_of(5, bars=6)
    prompts = [rows[:n] for n in (0, 1, 40, 17, 40)]
    exact, near = CompiledDecoder(model, 5), CompiledDecoder(model, 5, half=True)
    np.testing.assert_allclose(exact.prefill(prompts), near.prefill(prompts), rtol=0.1, atol=0.1)
    for i in range(len(rows) - 41):
        following = np.stack([rows[len(prompt) + i] for prompt in prompts])
        a, b = exact.step(following), near.step(following)
        np.testing.assert_allclose(a, b, rtol=0.1, atol=0.1)
        assert 1e-4 < np.abs(a - b).mean() < 0.02
    assert near.nbytes < 0.51 * exact.nbytes


def test_the_nearest_bfloat16_is_written():
    # one row's keys and values, and the bits that torch rounds to
    model, rows = model_of(SEED, width=48, hidden=64, layers=1), rows_of(5, bars=2)
    exact, near = CompiledDecoder(model), CompiledDecoder(model, half=True)
    near.weights = packed_weights(model)
    for row in rows[:9]:
        exact.step(row[None])
        near.step(row[None])
    for of_exact, of_near in zip(exact.cache.pages[:2], near.cache.pages[:2], strict=True):
        rounded = bfloat16_bits(torch.from_numpy(of_exact.view(np.float32)))
        pairs = rounded[:, :, :, 1::2].astype(np.uint32) << 16 | rounded[:, :, :, 0::2]
        assert pairs.any()
        assert np.array_equal(pairs, of_near)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_weights_are_refused(value):
    model = model_of(SEED)
    with torch.no_grad():
        model.layers[1].q.weight[3, 2] = value
    with pytest.raises(MeloError, match="no finite probabilities"):
        CompiledDecoder(model).step(rows_of(1, bars=1)[:1])


def pages_after(spec, bars):
    """Pages that a piece holds after so many bars, and bytes."""
    decoder = CompiledDecoder(model_of(spec, layers=1))
    for row in np.concatenate([rows_of(seed, bars=10)[:-1] for seed in range(bars // 10)]):
        decoder.step(row[None])
    return int(decoder.cache.pages.state[0, N_PAGES]), decoder.nbytes


def test_memory_is_bounded_by_what_the_mask_shows():
    spec = MaskSpec(same=(1, 2, 4), near=2, far=(4,), summaries=False)
    (few, less), (many, more) = pages_after(spec, 60), pages_after(spec, 400)
    assert many <= few + 2
    assert more <= 1.2 * less
    assert pages_after(DENSE, 400)[0] > 5 * many


def test_a_prompt_takes_no_memory_for_what_no_later_row_can_see():
    rows = rows_of(1, bars=80)[:-1]
    spec = MaskSpec(same=(2,), near=1, far=(), summaries=False)
    decoder, reference = CompiledDecoder(model_of(spec)), CompiledDecoder(model_of(spec))
    decoder.prefill([rows])
    reference.prefill([np.zeros((0, len(FIELDS)), dtype=np.int64)])
    for row in rows:
        reference.step(row[None])
    assert decoder.nbytes <= reference.most_bytes
    assert decoder.cache.pages.state[0, N_PAGES] == reference.cache.pages.state[0, N_PAGES]


def test_the_same_seed_gives_the_same_piece_with_either_decoder(monkeypatch):
    model = with_short_bars(model_of(SEED, width=48, hidden=64, plan_width=4))
    plan = BarPlans(vectors=np.full((6, 4), 0.5, np.float32), given=np.arange(6) < 4)

    def reference(model, prompts, **how):
        decoder = ArrayDecoder(MeloFormerDecoder(model, len(prompts), **how))
        return decoder, decoder.prefill(prompts)

    pieces = []
    for _ in range(2):
        writers = row_writers(Constraints(bars=6), range(20))
        sampler.generate(model, writers, Sampling(), plans=[plan, None] * 10)
        pieces.append([writers.rows(piece).tolist() for piece in range(20)])
        monkeypatch.setattr(sampler, "start_decoding", reference)
    assert pieces[0] == pieces[1]
    assert len({len(rows) for rows in pieces[0]}) > 5


_STEP = """
import sys
sys.path.insert(0, "tests")
import numpy as np
from small_models import SEED, music, small
from meloctl.model.meloformer.compiled_decoder import CompiledDecoder

decoder = CompiledDecoder(small(SEED).float(), half=len(sys.argv) > 1)
np.save(sys.stdout.buffer, np.concatenate([decoder.step(row[None].numpy()).copy() for row in music(3)[0][:40]]))
"""


def test_a_cpu_without_avx_512_computes_the_same():
    # numba compiles for the CPU that it is told of; `_put`, `vector_product` and the loops then have vectors of eight
    found = []
    for cpu in ({}, {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}):
        done = subprocess.run([sys.executable, "-c", _STEP], cwd=ROOT, env={**os.environ, **cpu}, capture_output=True)
        assert done.returncode == 0, done.stderr.decode()[-500:]
        found.append(np.load(io.BytesIO(done.stdout)))
    np.testing.assert_allclose(*found, **NEAR)
