"""Similarity recall, by hand."""

import numpy as np
import pytest
from hypothesis import given
from small_masks import SEED, curves
from strategies import specs

from analysis.errors import MeloError
from masks.cost.row_pairs import row_pairs
from masks.cost.similarity_recall import least_similar, measured_offsets, similarity_recall
from masks.rules.baselines import causal_mask
from masks.spec import MaskSpec

ROWS = np.ones((2, 3), dtype=np.int64)
"""Two parts, one row in each of three bars: same 4 pairs at offset 1 and 2 at offset 2, cross as many."""

TABLE = curves({1: 0.5, 2: 0.7}, {0: 0.9, 1: 0.2, 2: 0.3})


def test_excess_is_similarity_above_the_baseline_times_pairs():
    # the least similar is 0.2, across parts 1 back
    assert (least_similar(TABLE).relation, least_similar(TABLE).offset, least_similar(TABLE).similarity) == (
        "cross",
        1,
        0.2,
    )
    found = {(c.relation, c.offset): c.excess for c in measured_offsets(TABLE, row_pairs(ROWS))}
    assert found == pytest.approx({("same", 1): 0.3 * 4, ("same", 2): 0.5 * 2, ("cross", 1): 0, ("cross", 2): 0.1 * 2})


def test_recall_by_hand():
    # 1.2 + 1.0 + 0 + 0.2 = 2.4 in all; offset 0 does not count
    def share(same, near, far=()):
        spec = MaskSpec(same=same, near=near, far=far, summaries=True)
        return similarity_recall(spec, TABLE, row_pairs(ROWS))

    assert share((), 0) == 0
    assert share((1,), 0) == pytest.approx(1.2 / 2.4)
    assert share("full", 1) == pytest.approx(2.2 / 2.4)
    assert share((), 0, (2,)) == pytest.approx(0.2 / 2.4)
    assert share("full", 2) == 1


def test_headers_and_drums_do_not_count():
    with_more = row_pairs(np.concatenate([ROWS, 9 * ROWS]), drums={2}, headers={3})
    assert similarity_recall(SEED, TABLE, with_more) == similarity_recall(SEED, TABLE, row_pairs(ROWS))


def test_offsets_beyond_every_piece_and_thin_ones_are_no_choice():
    table = curves({1: 0.5, 7: 0.9}, {1: 0.2, 2: 0.0}, pairs={"cross": {1: 100, 2: 9}})
    assert [(c.relation, c.offset) for c in measured_offsets(table, row_pairs(ROWS))] == [("same", 1), ("cross", 1)]
    assert least_similar(table).similarity == 0.2


def test_a_flat_table_has_no_excess():
    assert similarity_recall(SEED, curves({1: 0.4}, {1: 0.4}), row_pairs(ROWS)) == 0


@given(specs())
def test_no_mask_has_a_higher_recall_than_dense_causal_attention(spec):
    pairs = row_pairs(ROWS)
    assert 0 <= similarity_recall(spec, TABLE, pairs) <= similarity_recall(causal_mask(), TABLE, pairs) == 1


def test_a_table_of_one_relation_is_refused():
    with pytest.raises(MeloError, match="no offset from 1 on was measured for both relations"):
        least_similar(curves({1: 0.5}, {0: 0.5}))
