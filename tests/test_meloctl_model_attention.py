"""Tiled attention equals the reference in value and gradient; plans show exactly what masks show."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs, windows_of_rows

from masks.dense import dense_mask, dense_summary_mask
from masks.spec import MASK_RELATIONS, MOST_OFFSET, MaskSpec
from masks.tiling.cell_rows import cells_of_rows
from masks.tiling.kernel_costs import CPU, CPU_BF16
from meloctl.model.attention.gates import LAST_OFFSET, N_OFFSETS, OPEN_GATE, all_earlier_rows
from meloctl.model.attention.reference import attend_dense
from meloctl.model.attention.tiled.bf16_kernel import has_kernel
from meloctl.model.attention.tiled.plan import RowTilePlan
from meloctl.model.attention.tiled.planner import TilePlanner
from meloctl.model.attention.tiled.row_tile import row_tile
from meloctl.model.attention.tiled.window_plan import pack_plans

SEED = MaskSpec(same="full", near=2, far=(4,), summaries=True)
TOLERANCE = {torch.float64: 1e-10, torch.float32: 2e-5, torch.bfloat16: 5e-2}
"""Largest error of an output or gradient, of numbers around 1."""

lengths = st.sampled_from([1, 2, 3, 5, 7, 11, 13, 17])


@st.composite
def plans(draw, *, gates=0):
    """A random mask, cut at random into tiles of scattered rows; some queries have no keys."""
    n, m = draw(lengths), draw(lengths)
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    mask = random.random((n, m)) < draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    gate = random.integers(0, max(gates, 1), (n, m)).astype(np.uint8)
    some = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    tiles = [
        row_tile(q, k, mask=mask[np.ix_(q, k)], gate=gate[np.ix_(q, k)] if gates else None)
        for q in np.array_split(_order(random, n), some[0])
        for k in np.array_split(_order(random, m), some[1])
        if len(q) and len(k)
    ]
    return RowTilePlan(n_queries=n, n_keys=m, tiles=tuple(tiles)), mask, gate


def _order(random, n):
    return random.permutation(n) if random.random() < 0.5 else np.arange(n)


def heads(plan, *, dtype, query_heads=4, key_heads=2, width=8, seed=0):
    """q, k, v and the gradient of the output."""
    random = torch.Generator().manual_seed(seed)
    shapes = [
        (plan.n_queries, query_heads, width),
        *[(plan.n_keys, key_heads, width)] * 2,
        (plan.n_queries, query_heads, width),
    ]
    *qkv, grad = (torch.randn(shape, generator=random, dtype=dtype) for shape in shapes)
    return [x.requires_grad_() for x in qkv], grad


def assert_equals_reference(plan, mask, *, dtype, gate=None, biases=None, **sizes):
    """Outputs and gradients under a plan are those of dense attention in float64."""
    qkv, grad = heads(plan, dtype=dtype, **sizes)
    exact = [x.detach().double().requires_grad_() for x in qkv]
    learned = None if biases is None else biases.clone().to(torch.promote_types(dtype, torch.float32)).requires_grad_()
    exact_biases = None if biases is None else biases.double().clone().requires_grad_()
    bias = None if exact_biases is None else exact_biases[torch.from_numpy(gate).long()]
    expected = attend_dense(*exact, torch.from_numpy(mask), bias)
    got = plan.attend(*qkv, learned)
    expected.backward(grad.double())
    got.backward(grad)
    near = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    torch.testing.assert_close(got.double(), expected, **near)
    for a, b in zip(qkv, exact, strict=True):
        torch.testing.assert_close(a.grad.double(), b.grad, **near)
    if learned is not None:  # a sum over all pairs of a gate
        torch.testing.assert_close(learned.grad.double(), exact_biases.grad, rtol=near["rtol"], atol=10 * near["atol"])


# attention


def test_attention_by_hand():
    # one head, two keys of equal score: the mean of their values; a hidden key adds nothing, and no key gives 0
    plan = RowTilePlan(
        n_queries=2,
        n_keys=3,
        tiles=(row_tile(np.array([0, 1]), np.arange(3), mask=np.array([[True, True, False], [False] * 3])),),
    )
    q, k, v = torch.zeros(2, 1, 4), torch.zeros(3, 1, 4), torch.tensor([1.0, 3.0, 100.0])[:, None, None].expand(3, 1, 4)
    assert plan.attend(q, k, v).tolist() == [[[2.0] * 4], [[0.0] * 4]]
    assert attend_dense(q, k, v, torch.from_numpy(plan.dense())).tolist() == [[[2.0] * 4], [[0.0] * 4]]


def test_gates_by_hand():
    # equal scores and gates of weight 1 and 3: the values are weighed 1 to 3
    mask = np.ones((1, 2), dtype=np.bool_)
    plan = RowTilePlan(
        n_queries=1,
        n_keys=2,
        tiles=(row_tile(np.arange(1), np.arange(2), mask=mask, gate=np.array([[0, 1]], np.uint8)),),
    )
    q, k, v = torch.zeros(1, 1, 4), torch.zeros(2, 1, 4), torch.tensor([4.0, 8.0])[:, None, None].expand(2, 1, 4)
    out = plan.attend(q, k, v, torch.tensor([0.0, np.log(3.0)]))
    torch.testing.assert_close(out, torch.full((1, 1, 4), (1 * 4 + 3 * 8) / 4))


@given(plans(), st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
def test_tiles_equal_the_reference(made, dtype):
    plan, mask, _ = made
    assert (plan.dense() == mask).all()
    assert_equals_reference(plan, mask, dtype=dtype)


@given(plans(gates=5), st.sampled_from([torch.float64, torch.float32]))
def test_gated_tiles_equal_the_reference(made, dtype):
    plan, mask, gate = made
    assert (plan.dense_gates() == np.where(mask, gate.astype(int), -1)).all()
    biases = torch.randn(5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert_equals_reference(plan, mask, dtype=dtype, gate=gate, biases=biases)


# the kernel for bf16


@pytest.mark.skipif(not has_kernel(), reason="this processor has no instructions for bf16")
@given(plans(), st.sampled_from([(4, 2, 32), (3, 3, 64), (2, 1, 96)]))
def test_tiles_in_bf16_equal_the_reference(made, sizes):
    plan, mask, _ = made
    query_heads, key_heads, width = sizes
    assert_equals_reference(plan, mask, dtype=torch.bfloat16, query_heads=query_heads, key_heads=key_heads, width=width)


@pytest.mark.skipif(not has_kernel(), reason="this processor has no instructions for bf16")
@pytest.mark.parametrize("n", [31, 32, 33, 256, 257, 300, 600])
def test_long_tiles_in_bf16_equal_the_reference(n):
    # longer than a block of queries and a chunk of keys; two groups, the second causal; a query and a whole block without keys
    random = np.random.default_rng(n)
    mask = random.random((n, n + 5)) < 0.3
    mask[[0, *range(32, min(64, n))]] = False
    mask[:, :40] = False
    tiles = (
        row_tile(np.arange(n), random.permutation(n + 5), mask=mask),
        row_tile(np.arange(n, 2 * n), np.arange(n + 5, 2 * n + 5), causal=True),
    )
    plan = RowTilePlan(n_queries=2 * n, n_keys=2 * n + 5, tiles=tiles, groups=(0, 1))
    for threads in (1, 2):
        with on_threads(threads):
            assert_equals_reference(plan, plan.dense(), dtype=torch.bfloat16, query_heads=4, key_heads=2, width=32)


@pytest.mark.skipif(not has_kernel(), reason="this processor has no instructions for bf16")
def test_what_is_not_a_number_stays_so_in_bf16():
    plan = RowTilePlan(n_queries=40, n_keys=40, tiles=(row_tile(np.arange(40), np.arange(40), causal=True),))
    q, k, v = torch.randn(3, 40, 2, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    q[7] = torch.nan
    out = plan.attend(q, k, v)
    assert out[7].isnan().all()
    assert out[torch.arange(40) != 7].isfinite().all()


@contextmanager
def on_threads(n):
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(("query_heads", "key_heads"), [(6, 3), (6, 6), (4, 1), (1, 1)])
def test_each_key_head_serves_its_neighbouring_query_heads(query_heads, key_heads):
    plan = RowTilePlan(n_queries=7, n_keys=7, tiles=(row_tile(np.arange(7), np.arange(7), causal=True),))
    sizes = {"query_heads": query_heads, "key_heads": key_heads}
    assert_equals_reference(plan, np.tri(7, dtype=np.bool_), dtype=torch.float64, **sizes)
    (q, k, v), _ = heads(plan, dtype=torch.float64, **sizes)
    copied = [x.repeat_interleave(query_heads // key_heads, 1) for x in (k, v)]
    torch.testing.assert_close(plan.attend(q, k, v), plan.attend(q, *copied))


def test_gradients_by_finite_differences():
    mask = np.random.default_rng(0).random((5, 7)) < 0.6
    gate = np.random.default_rng(1).integers(0, 3, (5, 7)).astype(np.uint8)
    tiles = [row_tile(np.arange(5), k, mask=mask[:, k], gate=gate[:, k]) for k in (np.arange(3), np.arange(3, 7))]
    plan = RowTilePlan(n_queries=5, n_keys=7, tiles=tuple(tiles))
    qkv, _ = heads(plan, dtype=torch.float64)
    biases = torch.randn(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(plan.attend, (*qkv, biases))


def test_two_tiles_with_one_pair_are_refused():
    tile = row_tile(np.arange(2), np.arange(2))
    with pytest.raises(ValueError, match="the same pair"):
        RowTilePlan(n_queries=2, n_keys=2, tiles=(tile, tile)).dense()


# plans


@st.composite
def packs(draw):
    """A spec, some windows as (bar, part, segment), which parts are drums, and costs that make many tiles cheap, or few."""
    windows = draw(st.lists(windows_of_rows(), min_size=1, max_size=3))
    costs = draw(st.sampled_from([CPU, replace(CPU, tile=0.0), CPU_BF16, replace(CPU_BF16, tile=0.0)]))
    return draw(specs()), windows, draw(st.sets(st.integers(0, 3), max_size=2)), costs


def planned(spec, windows, drums, costs=CPU, *, gated=False):
    planner = TilePlanner(all_earlier_rows(spec) if gated else spec, gated=gated, costs=costs)
    alone = [
        planner.window(np.array(bar), np.array(part), frozenset(drums & set(part)), segment and np.array(segment))
        for bar, part, segment in windows
    ]
    starts = np.cumsum([0, *(len(bar) for bar, *_ in windows)])
    return pack_plans(alone, starts, int(starts[-1]) + 3)


@given(packs())
def test_plans_show_what_the_mask_shows_and_no_other_window(pack):
    spec, windows, drums, costs = pack
    rows, bars = planned(spec, windows, drums, costs)
    n_bars = bars.n_queries
    row = bar = 0
    see_rows, see_bars = np.zeros((rows.n_queries, rows.n_keys), np.bool_), np.zeros((n_bars, rows.n_keys), np.bool_)
    for bar_L, part_L, segment in windows:
        n, own = len(bar_L), np.array(segment or bar_L)
        n_own = int(own[-1]) + 1 if spec.summaries else 0
        mine = slice(row, row + n), slice(bar, bar + n_own)
        keys = slice(n_bars + row, n_bars + row + n)
        see_rows[mine[0], keys] = dense_mask(spec, bar_L, part_L, drums)
        see_rows[mine[0], mine[1]] = dense_summary_mask(spec, own, n_own)
        see_bars[mine[1], mine[1]] = np.tri(n_own, dtype=np.bool_)
        see_bars[mine[1], keys] = np.arange(n_own)[:, None] == own
        row, bar = row + n, bar + n_own
    assert (rows.dense() == see_rows).all()
    assert (bars.dense() == see_bars).all()


@given(packs())
def test_gated_plans_show_all_earlier_rows_each_by_its_gate(pack):
    spec, windows, drums, costs = pack
    rows, bars = planned(spec, windows, drums, costs, gated=True)
    gates = rows.dense_gates()
    assert set(gates[:, : bars.n_queries].ravel()) <= {-1, OPEN_GATE}
    row = 0
    for bar, part, _ in windows:
        for q in range(len(bar)):
            for k in range(len(bar)):
                drummed = part[q] in drums or part[k] in drums
                relation = "same" if part[q] == part[k] else "drums" if drummed else "cross"
                offset = min(abs(bar[q] - bar[k]), LAST_OFFSET + 1)
                expected = -1 if k > q else MASK_RELATIONS.index(relation) * N_OFFSETS + offset
                assert gates[row + q, bars.n_queries + row + k] == expected
        row += len(bar)


def test_short_windows_take_one_tile_and_long_ones_several():
    bar, part = np.repeat(np.arange(4), 6), np.tile([0, 0, 1, 1, 2, 2], 4)
    short = TilePlanner(SEED).window(bar, part, frozenset())
    assert short.rows_to_all
    assert short.summaries_to_all
    assert (
        (short.rows_to_rows, short.rows_to_summaries)
        == (short.summaries_to_summaries, short.summaries_to_rows)
        == ((), ())
    )
    long = TilePlanner(SEED).window(np.repeat(np.arange(300), 6), np.tile([0, 0, 1, 1, 2, 2], 300), frozenset())
    assert len(long.rows_to_rows) > 1
    assert long.rows_to_summaries
    assert not long.rows_to_all


@settings(max_examples=20)
@given(packs())
def test_plans_of_packs_equal_the_reference(pack):
    rows, bars = planned(*pack)
    for plan in (rows, bars):
        assert_equals_reference(plan, plan.dense(), dtype=torch.float64)


def test_a_window_is_planned_once():
    planner = TilePlanner(SEED)
    bar, part = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    one = planner.window(bar, part, frozenset())
    assert planner.window(bar.copy(), part.copy(), frozenset()) is one
    assert planner.window(bar, part[::-1].copy(), frozenset()) is not one
    assert planner.window(bar, part, frozenset({1})) is not one


@pytest.mark.parametrize("gated", [False, True])
def test_plans_are_kept_within_bounds_the_latest_ones(gated):
    bar, part = np.repeat(np.arange(9), 4), np.tile([0, 0, 1, 1], 9)

    def plan_of(planner, n):
        return planner.window(bar, part + n, frozenset())

    one = plan_of(TilePlanner(SEED, gated=gated), 0)
    assert one.rows_to_all
    assert one.summaries_to_all
    tensors = [
        x for tile in (one.rows_to_all, one.summaries_to_all) for x in (tile.queries, tile.keys, tile.mask, tile.gate)
    ]
    held = sum(x.numel() * x.element_size() for x in tensors if isinstance(x, torch.Tensor))
    assert one.nbytes == held > 0
    planner = TilePlanner(SEED, gated=gated, kept_bytes=2 * held)
    first, second = plan_of(planner, 1), plan_of(planner, 2)
    assert plan_of(planner, 1) is first  # used again, so the other one is now the oldest
    plan_of(planner, 3)
    assert plan_of(planner, 1) is first
    assert plan_of(planner, 2) is not second
    assert (
        TilePlanner(SEED, kept_bytes=0).window(bar, part, frozenset()).nbytes
    )  # nothing is kept, all the same planned


def test_float_masks_of_a_pack_are_not_kept_with_its_windows():
    planner = TilePlanner(MaskSpec(same=(2,), near=0, far=(), summaries=False))
    window = planner.window(np.repeat(np.arange(9), 4), np.tile([0, 0, 1, 1], 9), frozenset())
    rows, _ = pack_plans([window], np.array([0, 36]), 36)
    assert any(tile.float_mask is not None for tile in rows.tiles)
    assert not any("float_mask" in vars(tile) for tile in window.rows_to_rows)


@pytest.mark.parametrize("gated", [False, True])
def test_long_causal_tiles_are_cut_under_gates(gated):
    n = 700  # longer than a run of queries
    everything = MaskSpec(same="full", near=MOST_OFFSET, far=(), summaries=True)
    bar = np.arange(n) // 7
    rows, bars = planned(everything, [(bar.tolist(), (np.arange(n) % 7).tolist(), None)], set(), gated=gated)
    mask = rows.dense()[:n, bars.n_queries : bars.n_queries + n]
    assert (mask == np.tri(n, dtype=np.bool_)).all()


def test_real_pieces(real):
    from analysis.midi import read_midi
    from meloctl.dataset.packs import Pack
    from meloctl.model.meloformer.layout import places_of
    from meloctl.rows.codec import encode
    from meloctl.rows.vocabulary import default_vocabulary

    vocabulary = default_vocabulary()
    paths = real("band")[:40:8]
    for path in paths:
        rows = encode(read_midi(path), vocabulary)[0].astype(np.int64)[:503]
        pack = Pack(rows=rows, starts=np.array([0, len(rows)]), first_bar=np.zeros(1, np.int64))
        places = places_of(pack, vocabulary)
        bar, part = places.bar, places.part
        drums = frozenset(np.unique(part[part // vocabulary.instances == vocabulary.drums]).tolist())
        plan, bars = planned(SEED, [(bar.tolist(), part.tolist(), None)], set(drums))
        n_bars = bars.n_queries
        assert (plan.dense()[: len(rows), n_bars : n_bars + len(rows)] == dense_mask(SEED, bar, part, drums)).all()
        assert cells_of_rows(bar, part, drums).n_rows == len(rows)
        assert_equals_reference(plan, plan.dense(), dtype=torch.float32)
