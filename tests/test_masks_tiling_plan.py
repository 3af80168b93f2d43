"""Plans: the tiles hold each pair of the mask once and nothing else, and cost what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import MeloError
from masks.dense import dense_mask
from masks.spec import MaskSpec, visible_offsets
from masks.tiling.cell_rows import CellRows, cells_of_rows
from masks.tiling.kernel_costs import KernelCosts
from masks.tiling.orders import across_parts, generation_order, within_parts
from masks.tiling.plan import RUN_LENGTHS, decompositions, plan
from masks.tiling.query_runs import causal_sets, query_runs
from masks.tiling.tiles import count_visible_pairs

SEED = MaskSpec(same="full", near=2, far=(4,), summaries=True)


@st.composite
def specs(draw):
    offsets = st.lists(st.integers(1, 10), unique=True, max_size=4).map(sorted)
    near = draw(st.sampled_from([0, 0, 1, 2, 3, 4, 5, 100]))
    return MaskSpec(
        same=draw(st.one_of(st.just("full"), offsets.map(tuple))),
        near=near,
        far=tuple(k for k in draw(offsets) if k > near),
        drums=draw(st.sampled_from(["masked", "exempt"])),
        summaries=False,
    )


@st.composite
def pieces(draw):
    """Ragged cells, bars left out, parts that rest, one part or one bar at times, none to two parts of drums."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    bars, parts = draw(st.sampled_from([(1, 5), (11, 1), (11, 2), (7, 4)]))
    bar, part = np.nonzero(rng.random((bars, parts)) < draw(st.sampled_from([0.2, 0.6, 1.0])))
    bar, part = (bar, part) if len(bar) else (np.zeros(1, dtype=int), np.zeros(1, dtype=int))
    rows = rng.integers(1, draw(st.sampled_from([1, 3, 9])), size=len(bar), endpoint=True)
    names = np.array([7, 3, 11, 0, 2])  # parts need not count from 0, nor rise within a bar
    drums = draw(st.sets(st.sampled_from(names.tolist()), max_size=2))
    return CellRows(bar=bar + 5, part=names[part], rows=rows, drums=frozenset(drums))


@st.composite
def kernels(draw):
    """Costs that make few large tiles cheapest, or many small ones."""
    return KernelCosts(
        tile=draw(st.sampled_from([0.0, 10.0, 1e3, 1e6])),
        gathered=draw(st.sampled_from([0.0, 10.0])),
        contiguous=draw(st.sampled_from([0.0, 5.0])),
        masked=draw(st.sampled_from([1.0, 3.0])),
        causal_block=draw(st.sampled_from([1, 512])),
    )


def reference(spec, cells):
    bar, part = (np.repeat(x, cells.rows).tolist() for x in (cells.bar, cells.part))
    return dense_mask(spec, bar, part, cells.drums)


def full_mask(tile):
    """(N, M) the mask of a tile, also where its kernel needs none."""
    mask = tile.mask()
    if mask is not None:
        return mask
    every = np.ones((len(tile.queries), len(tile.keys)), dtype=bool)
    return np.tril(every) if tile.causal else every


def times_visible(tiles, n_rows):
    """(L, L) in how many tiles each pair is visible."""
    times = np.zeros((n_rows, n_rows), dtype=int)
    for tile in tiles:
        np.add.at(times, np.ix_(tile.queries, tile.keys), full_mask(tile))
    return times


def assert_tile(tile):
    mask = full_mask(tile)
    assert mask.shape == (tile.n_queries, tile.n_keys)
    assert tile.n_pairs == mask.sum() > 0
    assert (np.diff(tile.queries) > 0).all()
    assert (np.diff(tile.keys) > 0).all()
    assert tile.keys[-1] <= tile.queries[-1]  # nothing is gathered that comes after all queries
    if tile.causal:
        assert (tile.queries == tile.keys).all()
        assert tile.work == mask.sum()
    else:
        assert tile.work == mask.size
        assert (tile.mask() is None) == mask.all()


def tile_cost(tile, costs):
    """Cost of one tile, from its rows alone."""
    n, m = tile.n_queries, tile.n_keys
    stand = [(rows[-1] - rows[0] + 1 == len(rows)) for rows in (tile.queries, tile.keys)]
    rows = sum(x * (costs.contiguous if near else costs.gathered) for x, near in zip((n, m), stand, strict=True))
    if tile.causal:
        return costs.tile + rows + n * min(n, (n + costs.causal_block) / 2)
    return costs.tile + rows + n * m * (costs.masked if tile.mask() is not None else 1)


def test_the_seeds_plan_drawn():
    # two parts, two rows each, bars 0 and 1: all is visible, so all rows are one causal tile
    cells = cells_of_rows([0] * 4 + [1] * 4, [1, 1, 2, 2] * 2)
    assert [x.tolist() for x in (cells.bar, cells.part, cells.rows)] == [[0, 0, 1, 1], [1, 2, 1, 2], [2, 2, 2, 2]]
    made = plan(SEED, cells)
    assert made.in_words() == "all rows causal: 1.00 of dense causal's work"
    (tile,) = made.tiles
    assert tile.causal
    assert tile.queries.tolist() == list(range(8))
    assert made.work == tile.n_pairs == 36


def test_a_bar_far_enough_back_is_hidden_from_other_parts():
    # bars 0 and 3, one row of each of two parts: the own part is visible at offset 3, the other is not
    cells = cells_of_rows([0, 0, 3, 3], [1, 2, 1, 2])
    few_scores = KernelCosts(tile=0, gathered=0, contiguous=0, causal_block=1)
    made = plan(SEED, cells, costs=few_scores)
    assert times_visible(made.tiles, 4).tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 1, 1]]
    assert made.decomposition == "2 parts causal + 2 query runs of one cell across parts"
    assert made.work == 3 + 3 + 1 + 1
    assert made.in_words() == "2 parts causal + 2 query runs of one cell across parts: 0.80 of dense causal's work"
    assert made.memory_bytes(heads=3, width=5, dtype_bytes=2) == (2 + 2 + 1 + 1) * 3 * (5 * 2 + 4)


@given(specs(), pieces(), kernels())
def test_each_pair_of_the_mask_is_in_exactly_one_tile(spec, cells, costs):
    made = plan(spec, cells, costs=costs)
    assert (times_visible(made.tiles, cells.n_rows) == reference(spec, cells)).all()
    for tile in made.tiles:
        assert_tile(tile)
    assert made.work == sum(tile.work for tile in made.tiles)


@given(specs(), pieces(), kernels())
def test_so_does_every_other_decomposition(spec, cells, costs):
    mask = reference(spec, cells)
    found = list(decompositions(spec, cells, costs))
    for groups in found:
        tiles = [tile for g in groups for tile in g.tiles()]
        assert (times_visible(tiles, cells.n_rows) == mask).all()
        assert sum(g.cost(costs) for g in groups) == pytest.approx(sum(tile_cost(tile, costs) for tile in tiles))
    assert plan(spec, cells, costs=costs).cost == min(sum(g.cost(costs) for g in groups) for groups in found)


def test_drums_that_come_first_and_last():
    # bars 0, 1, 3: drums, bass, drums. The bass sees the drums before it, the drums the bass, and neither its own past
    cells = CellRows(
        bar=np.array([0, 1, 3]), part=np.array([7, 3, 7]), rows=np.ones(3, dtype=int), drums=frozenset({7})
    )
    spec = MaskSpec(same=(), near=0, far=(), drums="exempt", summaries=False)
    for groups in decompositions(spec, cells):
        shown = times_visible([tile for g in groups for tile in g.tiles()], 3)
        assert shown.tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]


def test_offsets_that_all_parts_share_are_computed_together():
    # 40 bars of 4 parts, 8 rows a cell. All see bars 0, 1, 2 and 4 back; at 3 and from 5 on one sees one's own part alone
    cells = CellRows(bar=np.repeat(np.arange(40), 4), part=np.tile(np.arange(4), 40), rows=np.full(160, 8))
    made = plan(SEED, cells, costs=KernelCosts(tile=1000, gathered=10, contiguous=10, masked=1.0, causal_block=500))
    several = [len(np.unique(cells.part[tile.key_cells])) > 1 for tile in made.tiles]
    together = [tile for tile, many in zip(made.tiles, several, strict=True) if many]
    alone = [tile for tile, many in zip(made.tiles, several, strict=True) if not many]
    assert sum(tile.work for tile in together) == 32 * 32 * (40 + 39 + 38 + 36)
    assert sum(tile.n_pairs for tile in alone) == 4 * 8 * 8 * (37 + sum(range(1, 36)))


@given(specs(), pieces(), kernels())
def test_every_row_attends_to_itself(spec, cells, costs):
    itself = times_visible(plan(spec, cells, costs=costs).tiles, cells.n_rows).diagonal()
    assert (itself == 1).all()


@given(pieces(), specs(), st.sampled_from([*RUN_LENGTHS, 2, 7, 13]), st.booleans())
def test_query_runs_of_any_length_hold_the_pairs_of_their_order(cells, spec, length, whole_bars):
    parts = np.repeat(cells.part, cells.rows)
    same_part = parts[:, None] == parts
    mask = reference(spec, cells)
    visible = visible_offsets(spec, cells.n_bars)
    every = np.ones(len(cells.rows), dtype=bool)
    same, other = np.array([[1], [0], [0]]) * visible > 0, np.array([[0], [1], [1]]) * visible > 0
    for order, some, expected in [
        (generation_order(cells, ""), visible, mask),
        (within_parts(cells, ""), same, mask & same_part),
        (across_parts(cells, "", every), other, mask & ~same_part),
    ]:
        if len(order.keys):
            runs = query_runs(order, some, count_visible_pairs(cells, some), length, whole_bars=whole_bars)
            assert (times_visible(runs.tiles(), cells.n_rows) == expected).all()


@given(specs(), pieces())
def test_pairs_are_counted_without_the_matrix(spec, cells):
    visible = visible_offsets(spec, cells.n_bars)
    by_row = reference(spec, cells).sum(axis=1)
    assert count_visible_pairs(cells, visible).tolist() == np.add.reduceat(by_row, cells.start).tolist()


def test_a_query_run_holds_the_cells_that_begin_in_its_multiple_of_the_length():
    # rows: 3 + 3 in bar 0, 5 + 3 in bar 1, 1 in bar 2; cells begin at rows 0, 3, 6, 11, 14
    cells = CellRows(bar=np.array([0, 0, 1, 1, 2]), part=np.array([1, 2, 1, 2, 1]), rows=np.array([3, 3, 5, 3, 1]))
    order = generation_order(cells, "")
    assert order.cut(7, whole_bars=False).starts.tolist() == [0, 3, 4]
    assert order.cut(7, whole_bars=True).starts.tolist() == [0, 4]
    assert order.cut(1, whole_bars=True).starts.tolist() == [0, 2, 4]
    own = within_parts(cells, "")  # rows of part 1 begin at 0, 3, 8, of part 2 at 0, 3
    assert own.queries.tolist() == [0, 2, 4, 1, 3]
    assert own.cut(7, whole_bars=True).starts.tolist() == [0, 2, 3]


def test_sparse_cross_is_cheaper_than_dense():
    # 40 bars of 4 parts, 8 rows a cell: the mask shows far less than half, and the plan computes little more than it shows
    rows = np.full(160, 8)
    cells = CellRows(bar=np.repeat(np.arange(40), 4), part=np.tile(np.arange(4), 40), rows=rows)
    made = plan(MaskSpec(same=(1, 4), near=0, far=(4,), summaries=True), cells)
    shown = sum(tile.n_pairs for tile in made.tiles)
    assert shown <= made.work <= 3 * shown < made.dense_work / 2


@given(specs(), pieces())
def test_planning_is_deterministic(spec, cells):
    first, second = (plan(spec, cells) for _ in range(2))
    assert first.in_words() == second.in_words()
    assert [(t.queries.tolist(), t.keys.tolist()) for t in first.tiles] == [
        (t.queries.tolist(), t.keys.tolist()) for t in second.tiles
    ]


def attend(scores, see, values):
    """Softmax attention and its log-sum-exp, by row."""
    scores = np.where(see, scores, -np.inf)
    top = scores.max(axis=1, keepdims=True)
    top[~np.isfinite(top)] = 0.0
    weight = np.exp(scores - top)
    total = weight.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        lse = np.log(total) + top
    return np.divide(weight, total, out=np.zeros_like(weight), where=total > 0) @ values, lse


@given(specs(), pieces(), kernels(), st.integers(0, 2**32 - 1))
def test_tiles_merged_by_log_sum_exp_are_dense_attention(spec, cells, costs, seed):
    rng = np.random.default_rng(seed)
    q, k, v = (rng.standard_normal((cells.n_rows, 5)) for _ in range(3))
    expected, expected_lse = attend(q @ k.T, reference(spec, cells), v)
    out, lse = np.zeros_like(v), np.full((cells.n_rows, 1), -np.inf)
    for tile in plan(spec, cells, costs=costs).tiles:
        rows, keys = tile.queries, tile.keys
        o, lse_tile = attend(q[rows] @ k[keys].T, full_mask(tile), v[keys])
        merged = np.logaddexp(lse[rows], lse_tile)
        known = np.where(np.isfinite(merged), merged, 0.0)
        out[rows] = out[rows] * np.exp(lse[rows] - known) + o * np.exp(lse_tile - known)
        lse[rows] = merged
    assert np.abs(out - expected).max() < 1e-12
    assert np.abs(lse - expected_lse).max() < 1e-12


def test_rows_of_a_cell_stand_together():
    with pytest.raises(MeloError, match="a part comes twice in one bar"):
        cells_of_rows([0, 0, 0], [1, 2, 1])
    with pytest.raises(MeloError, match="the bars fall"):
        cells_of_rows([1, 0], [1, 1])
    with pytest.raises(MeloError, match="a cell has 0 rows"):
        CellRows(bar=np.arange(2), part=np.arange(2), rows=np.array([1, 0]))
    with pytest.raises(MeloError, match="1 bars, 2 parts"):
        CellRows(bar=np.arange(1), part=np.arange(2), rows=np.ones(2, dtype=int))
    with pytest.raises(MeloError, match="20001 bars; a piece has at most 10000"):
        cells_of_rows([0, 20_000], [1, 1])
    with pytest.raises(MeloError, match=r"shape \(2,\) and parts of shape \(3,\)"):
        cells_of_rows([0, 0], [1, 1, 1])


def test_nothing_is_planned_as_nothing():
    made = plan(SEED, cells_of_rows([], []))
    assert made.tiles == ()
    assert made.in_words() == "nothing: 0.00 of dense causal's work"


def test_a_causal_tile_for_each_part():
    cells = cells_of_rows([0, 0, 0, 1, 1], [4, 4, 9, 4, 9])
    tiles = list(causal_sets(cells, "", cells.part_index).tiles())
    assert [t.queries.tolist() for t in tiles] == [[0, 1, 3], [2, 4]]


def test_expensive_tiles_make_one_tile_and_expensive_scores_make_many():
    cells = CellRows(bar=np.repeat(np.arange(31), 2), part=np.tile([1, 2], 31), rows=np.full(62, 5))
    few = plan(SEED, cells, costs=KernelCosts(tile=1e9, gathered=0.0, contiguous=0.0))
    many = plan(SEED, cells, costs=KernelCosts(tile=0.0, gathered=0.0, contiguous=0.0, causal_block=1))
    assert len(few.tiles) == 1
    assert many.work < few.work
    assert many.work == sum(tile.n_pairs for tile in many.tiles)  # every score computed is of a visible pair


def test_real_pieces(real):
    from analysis.midi import read_midi
    from meloctl.rows.codec import encode
    from meloctl.rows.vocabulary import INSTANCE, INSTRUMENT, default_vocabulary

    vocabulary = default_vocabulary()
    rows = encode(read_midi(real("band")[0]), vocabulary)[0].astype(int)
    bar = np.cumsum(rows[:, INSTRUMENT] == vocabulary.bar) - 1
    part = rows[:, INSTRUMENT] * vocabulary.instances + np.maximum(rows[:, INSTANCE], 0)
    drums = set(part[rows[:, INSTRUMENT] == vocabulary.drums].tolist())
    upto = 800
    cells = cells_of_rows(bar[:upto], part[:upto], drums)
    spec = MaskSpec(same="full", near=1, far=(4,), drums="exempt", summaries=True)
    assert (times_visible(plan(spec, cells).tiles, upto) == reference(spec, cells)).all()
