"""FlexAttention equals the reference and the tiles, visits no block in vain, and is compiled once."""

from functools import partial

import numpy as np
import pytest
import torch
from flex_packs import DENSE, EXEMPT, OFFSETS, FlexPack, gate_biases, heads
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_flex import allowed, listed, plain_flex, shown
from small_models import SEED, music, pack_of_rows, small
from strategies import specs, windows_of_rows

from analysis.errors import MeloError
from masks.rules.baselines import museformer_mask
from masks.tiling.cell_rows import CROSS, DRUMS, SAME
from meloctl.dataset.packs import padded
from meloctl.model.attention.flex import kernel as flex
from meloctl.model.attention.flex.block_mask import ALL_RELATIONS, KeyRange, visited_blocks
from meloctl.model.attention.flex.planner import FlexPlanner, offset_runs
from meloctl.model.attention.gates import N_OFFSETS, all_earlier_rows
from meloctl.model.attention.reference import attend_dense
from meloctl.model.attention.tiled.planner import TilePlanner
from meloctl.model.meloformer.layout import layout_of

pytestmark = pytest.mark.usefixtures("one_thread")

TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5, torch.bfloat16: 5e-2}
"""Largest error of an output or gradient, of numbers around 1."""


@pytest.fixture
def plain(monkeypatch):
    """FlexAttention by its formula."""
    monkeypatch.setattr(flex, "flex_attention", plain_flex)


@st.composite
def packs(draw, **fixed):
    """A pack of one to three windows: ragged cells, empty parts, one part, one bar, masked bars, and padding."""
    windows = draw(st.lists(windows_of_rows(), min_size=1, max_size=3))
    drums = draw(st.sets(st.integers(0, 3), max_size=2))
    return FlexPack(
        draw(specs()), windows, drums, padding=draw(st.integers(0, 20)), block=draw(st.sampled_from([4, 16])), **fixed
    )


def stream(count, *, length=96, spec=SEED, gated=False, seed=0):
    """Packs of one length and different music."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        windows = []
        for _ in range(2):
            bars = random.integers(2, 6)
            rows = sorted(
                (b, p) for b in range(bars) for p in range(3) for _ in range(random.integers(0, 4) + (p == 0))
            )
            windows.append(([b for b, _ in rows], [p for _, p in rows]))
        n = sum(len(bar) for bar, _ in windows)
        yield FlexPack(spec, windows, {1}, padding=length - n, gated=gated)


def assert_equals_reference(plan, mask, *, dtype=torch.float64, gate=None, **sizes):
    """Outputs and gradients under a plan are those of dense attention in float64."""
    qkv, grad = heads(*mask.shape, dtype=dtype, **sizes)
    exact = [x.detach().double().requires_grad_() for x in qkv]
    biases, exact_biases = (
        gate_biases(qkv[0].device, kind) for kind in (torch.promote_types(dtype, torch.float32), torch.float64)
    )
    got = plan.attend(*qkv, None if gate is None else biases)
    got.backward(grad)
    expected = attend_dense(*exact, mask, None if gate is None else exact_biases[gate])
    expected.backward(grad.double())
    near = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(got.double(), expected, **near)
    assert (got[~mask.any(dim=1)] == 0).all()
    for a, b in zip(qkv, exact, strict=True):
        torch.testing.assert_close(a.grad.double(), b.grad, **near)
    if gate is not None:  # a sum over all pairs of a gate; those of offset 0 are no parameters
        learned = torch.arange(len(biases)) % N_OFFSETS != 0
        a, b = biases.grad.double().cpu()[learned], exact_biases.grad.cpu()[learned]
        torch.testing.assert_close(a, b, rtol=near["rtol"], atol=10 * near["atol"])


# plans


@given(packs())
def test_plans_show_what_the_mask_shows(pack):
    rows, bars = pack.masks()
    assert (shown(pack.summaries.call.mask) == bars).all()
    mask = shown(pack.rows.call.mask)
    if pack.rows.own is not None:
        own, place = torch.zeros_like(mask), pack.rows.own.place
        own[:, pack.room :] = shown(pack.rows.own.call.mask)[place[:, None], place]
        assert not (own & mask).any()
        mask = mask | own
    assert (mask == rows).all()


@given(packs(gated=True))
def test_gated_plans_show_all_earlier_rows(pack):
    assert pack.rows.own is None
    assert (shown(pack.rows.call.mask) == pack.masks()[0]).all()


@given(packs())
def test_visited_blocks_are_those_with_pairs(pack):
    calls = [pack.summaries.call, pack.rows.call, *([pack.rows.own.call] if pack.rows.own else [])]
    for call in (c for c in calls if c.n_queries):
        part, whole = listed(call.mask)
        n_rows, n_columns = (-(-n // call.block) * call.block for n in call.mask.seq_lengths)
        mask = torch.zeros(n_rows, n_columns, dtype=torch.bool)
        mask[: call.n_queries, : call.n_keys] = allowed(call.mask)
        by_block = mask.reshape(len(part), call.block, -1, call.block)
        assert not (by_block.any(dim=3).any(dim=1) & ~(part | whole)).any()
        assert not (whole & ~by_block.all(dim=3).all(dim=1)).any()
        if set(call.relations) == {ALL_RELATIONS}:  # ranges of some relations count as if they showed all
            assert (by_block.any(dim=3).any(dim=1) == (part | whole)).all()
            assert len(call.relations) > 1 or (whole == by_block.all(dim=3).all(dim=1)).all()


def test_blocks_by_hand():
    # blocks of 2: queries 0..3 attend to keys 0; 0, 1; 0, 1, 2; 2, 3. The last has none of block 0, so (1, 0) is not whole
    start, end = np.array([0, 0, 0, 2]), np.array([1, 2, 3, 4])
    visited, whole = visited_blocks([KeyRange(start=start, end=end)], 4, 2)
    assert visited.tolist() == [[True, False], [True, True]]
    assert not whole.any()
    visited, whole = visited_blocks([KeyRange(start=start, end=end), KeyRange(start=start * 0, end=start)], 4, 2)
    assert whole.tolist() == [[False, False], [True, False]]


def test_runs_of_offsets():
    def runs(spec, relations=ALL_RELATIONS):
        return [(sorted(r.relations), r.first, r.last) for r in offset_runs(spec, relations)]

    both, all_three = [CROSS, DRUMS], [SAME, CROSS, DRUMS]
    assert runs(SEED) == [(all_three, 0, 2), ([SAME], 3, 3), (all_three, 4, 4), ([SAME], 5, None)]
    assert runs(SEED, ALL_RELATIONS - {SAME}) == [(both, 0, 2), (both, 4, 4)]
    assert runs(EXEMPT, ALL_RELATIONS - {SAME}) == [(both, 0, 1), ([DRUMS], 2, 2), (both, 3, 3), ([DRUMS], 4, None)]
    assert runs(DENSE) == [(all_three, 0, None)]
    assert runs(museformer_mask())[:3] == [(all_three, 0, 2), (all_three, 4, 4), (all_three, 8, 8)]


@pytest.mark.parametrize("gated", [False, True])
def test_plans_of_one_length_have_equal_shapes(gated):
    def shapes(plan):
        calls = [plan.call, *([plan.own.call] if plan.own else [])]
        tensors = [t for c in calls for t in (*c.lists, *(x for pair in c.bounds for x in pair), *(c.parts or ()))]
        tensors += [plan.own.order, plan.own.place] if plan.own else []
        tensors += vars(plan.gates).values() if plan.gates else []
        return [(t.shape, t.dtype) for t in tensors], [(c.n_queries, c.n_keys, c.relations) for c in calls]

    made = list(stream(5, gated=gated))
    for name in ("rows", "summaries"):
        first, *others = (shapes(getattr(pack, name)) for pack in made)
        assert len(first[0]) > 10
        assert all(other == first for other in others)


# attention


@settings(max_examples=40)
@given(pack=packs(), dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
def test_flex_equals_the_reference(pack, dtype):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flex, "flex_attention", plain_flex)
        for plan, mask in zip((pack.rows, pack.summaries), pack.masks(), strict=True):
            if plan.n_queries:
                assert_equals_reference(plan, mask, dtype=dtype)


@settings(max_examples=30)
@given(pack=packs(gated=True), dtype=st.sampled_from([torch.float64, torch.float32]))
def test_gated_flex_equals_the_reference(pack, dtype):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flex, "flex_attention", plain_flex)
        assert_equals_reference(pack.rows, pack.masks()[0], dtype=dtype, gate=pack.gates())


@pytest.mark.parametrize(("query_heads", "key_heads"), [(6, 3), (6, 6), (4, 1), (1, 1)])
def test_each_key_head_serves_its_neighbouring_query_heads(plain, query_heads, key_heads):
    (pack,) = stream(1)
    assert_equals_reference(pack.rows, pack.masks()[0], query_heads=query_heads, key_heads=key_heads)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("spec", [SEED, EXEMPT, OFFSETS, DENSE])
def test_flex_equals_tiles(plain, spec, gated):
    (pack,) = stream(1, spec=spec, gated=gated, seed=3)
    planner = TilePlanner(all_earlier_rows(spec) if gated else spec, gated=gated)
    tiled_rows, tiled_bars = planner.plans(pack.places)
    n_bars, biases = tiled_bars.n_queries, gate_biases("cpu", torch.float64).detach() if gated else None
    for plan, tiled in ((pack.rows, tiled_rows), (pack.summaries, tiled_bars)):
        (q, k, v), _ = heads(plan.n_queries, plan.call.n_keys)
        real = [torch.cat([x[:n_bars], x[pack.room :]]) for x in (k, v)]
        got = plan.attend(q, k, v, biases)[: tiled.n_queries]
        torch.testing.assert_close(got, tiled.attend(q[: tiled.n_queries], *real, biases))


# torch's own FlexAttention, as it runs on a CPU


@pytest.fixture
def on_cpu(monkeypatch):
    """It refuses gradients on CPUs, though what it computes there has them."""
    from torch.nn.attention import flex_attention as module

    monkeypatch.setattr(module, "_validate_device", lambda *_: None)
    return module


@pytest.fixture
def uncompiled(on_cpu, monkeypatch):
    """It runs as it stands; captured tensors get no gradient then."""
    monkeypatch.setattr(on_cpu, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)


@pytest.fixture
def as_on_cuda(on_cpu, monkeypatch):
    """What is compiled on CUDA is compiled here too, but for the last step, the kernels."""
    torch.compiler.reset()
    monkeypatch.setattr(flex, "_needs_compiling", lambda _: not torch.compiler.is_compiling())
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    flex._compiled.cache_clear()
    yield
    flex._compiled.cache_clear()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("spec", [SEED, EXEMPT, OFFSETS, DENSE])
def test_torchs_flex_equals_the_reference(uncompiled, spec, dtype):
    (pack,) = stream(1, spec=spec, seed=1)
    for plan, mask in zip((pack.rows, pack.summaries), pack.masks(), strict=True):
        if plan.n_queries:
            assert_equals_reference(plan, mask, dtype=dtype)


def test_torchs_flex_gives_gates_their_gradient(on_cpu, monkeypatch):
    (pack,) = stream(1, gated=True, seed=2)
    monkeypatch.setattr(flex, "gated_attention", torch.compile(flex.gated_attention, backend="eager", dynamic=False))
    assert_equals_reference(pack.rows, pack.masks()[0], gate=pack.gates())


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch.compile does it
def test_nothing_is_compiled_twice(as_on_cuda):
    before, compiled = flex.graphs_compiled(), []
    for pack in stream(6):
        for plan, mask in zip((pack.rows, pack.summaries), pack.masks(), strict=True):
            assert_equals_reference(plan, mask, dtype=torch.float32)
        compiled.append(flex.graphs_compiled() - before)
    assert compiled == [2] * 6  # one for rows, one for summaries


def test_without_compilation_attention_on_cuda_is_refused(as_on_cuda):
    (pack,) = stream(1)
    (q, k, v), _ = heads(*pack.masks()[0].shape)
    with torch.compiler.set_stance("force_eager"), pytest.raises(MeloError, match=r"torch\.compile is switched off"):
        pack.rows.attend(q, k, v)


# the model


@pytest.mark.parametrize(("spec", "gated"), [(SEED, False), (OFFSETS, False), (DENSE, False), (SEED, True)])
def test_a_model_is_the_same_under_either_backend(plain, spec, gated):
    model = small(spec, gated=gated)
    shown = all_earlier_rows(spec) if gated else spec
    planners = TilePlanner(shown, gated=gated), FlexPlanner(shown, gated=gated, block=16)
    pack = padded(pack_of_rows(music(1)[0], music(2, bars=5)[0], first_bar=[3, 0]), 131)
    tiled, flexed = (loss_and_gradients(model, pack, planner) for planner in planners)
    torch.testing.assert_close(flexed[0], tiled[0])
    assert flexed[1].keys() == tiled[1].keys()
    for name, grad in flexed[1].items():
        torch.testing.assert_close(grad, tiled[1][name], msg=lambda text, name=name: f"{name}: {text}")


def loss_and_gradients(model, pack, planner):
    """(N, F) losses of rows and {parameter: gradient} under plans of a planner."""
    nll = model(layout_of(pack, planner, model.vocabulary, model.config.head_width))
    model.zero_grad()
    (nll.sum() + (model.gates.price(torch.ones(2, 33)) if model.gates else 0)).backward()
    return nll, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("planner", [TilePlanner(SEED), FlexPlanner(SEED, block=16)])
def test_a_window_counts_its_bars_from_anywhere(plain, planner):
    # rows and summaries are rotated alike: only the differences of their bars matter
    model = small(SEED)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    windows = music(1)[0], music(2, bars=5)[0]

    def states(first_bar):
        pack = pack_of_rows(*windows, first_bar=first_bar)
        return model.states(layout_of(pack, planner, model.vocabulary, model.config.head_width))

    torch.testing.assert_close(states([7, 3]), states([0, 0]), rtol=1e-4, atol=1e-4)


def test_a_layout_has_room_for_all_summaries():
    # 256 rows in blocks of 4: a sixteenth, a quarter, and where that is too little what there is
    def room(n_bars, rows_in_bar):
        n = n_bars * rows_in_bar
        return FlexPack(SEED, [(np.repeat(np.arange(n_bars), rows_in_bar), np.zeros(n))], padding=256 - n, block=4).room

    assert (room(16, 15), room(17, 15), room(64, 3), room(65, 3), room(254, 1)) == (16, 64, 64, 68, 256)
