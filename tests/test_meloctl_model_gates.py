"""Gates start at the measured similarity, cost what they open, and learn what recurs."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_models import V, nll_of, pack_of_rows, small
from strategies import layouts

from masks.cost.row_pairs import row_pairs
from masks.rules.learned import learned_mask
from masks.spec import MOST_OFFSET, MaskSpec
from masks.tiling.cell_rows import cells_of_rows
from meloctl.corpus.composer.compose import compose_piece
from meloctl.dataset.windows import windows
from meloctl.model.attention.gates import LAST_OFFSET, N_OFFSETS, Gates, gate_index_of_cells, work_by_gate
from meloctl.model.config import ModelConfig
from meloctl.model.meloformer.model import MeloFormer
from meloctl.rows.codec import encode
from meloctl.training.data import window_pairs
from meloctl.training.ngram_baselines import NgramBaseline

FOUR = MaskSpec(
    same=(4,),
    near=0,
    far=(4,),
    summaries=False,
    same_prior={0: 1.0, 1: 0.3, 3: 0.3, 4: 0.7, 5: 0.3},
    cross_prior={1: 0.2, 9: 0.6},
)


def test_gates_start_at_the_measured_similarity():
    biases = Gates(FOUR).biases().reshape(3, N_OFFSETS).detach()
    same, cross, drums = biases.exp().tolist()
    assert same[:6] == pytest.approx([1, 0.3, 0.3, 0.3, 0.7, 0.3])  # offset 0 is open; 2 lies between 1 and 3
    assert same[LAST_OFFSET + 1] == pytest.approx(0.3)  # beyond what was measured: as at the last offset
    assert cross[5] == pytest.approx(0.4)  # half way from 1 to 9
    assert drums == cross
    exempt = MaskSpec(same=(), near=0, far=(), drums="exempt", summaries=False)
    assert Gates(exempt).biases().reshape(3, N_OFFSETS)[2].tolist() == [0.0] * N_OFFSETS
    assert Gates(exempt).biases()[5].item() == pytest.approx(np.log(0.5))


def test_a_sure_similarity_still_learns():
    gates = Gates(MaskSpec(same=(), near=0, far=(), summaries=False, same_prior={1: 1.0, 2: 0.0}))
    gates.biases().sum().backward()
    assert torch.isfinite(gates.value).all()
    assert (gates.value.grad > 0).all()


@given(layouts(), st.sets(st.integers(0, 3), max_size=2), st.booleans())
def test_the_work_of_a_gate_is_the_share_of_pairs_that_pass_it(layout, drums, exempt):
    bar, part = layout
    bar = [3 * b for b in bar]  # far enough to go beyond the last gate
    expected = np.zeros((2, N_OFFSETS))
    for q in range(len(bar)):
        for k in range(q + 1):
            drummed = part[q] in drums or part[k] in drums
            if part[q] == part[k] or not (drummed and exempt):
                expected[int(part[q] != part[k]), min(bar[q] - bar[k], LAST_OFFSET + 1)] += 1
    names = sorted(set(part))
    rows = np.zeros((len(names), bar[-1] + 1), dtype=np.int64)
    for b, p in zip(bar, part, strict=True):
        rows[names.index(p), b] += 1
    pairs = row_pairs(rows, drums=[names.index(p) for p in drums if p in names])
    got = work_by_gate(pairs, exempt=exempt)
    np.testing.assert_allclose(got, expected[:, 1:] / (len(bar) * (len(bar) + 1) / 2))


@given(layouts(), st.sets(st.integers(0, 3), max_size=2))
def test_every_pair_passes_the_gate_index_of_cells_its_relation_and_offset(layout, drums):
    bar, part = layout
    cells = cells_of_rows(bar, part, drums)
    every = np.arange(len(cells.rows))
    gates = gate_index_of_cells(cells, every, every)
    for q in range(len(bar)):
        for k in range(q + 1):
            drummed = part[q] in drums or part[k] in drums
            relation = 0 if part[q] == part[k] else 2 if drummed else 1
            assert gates[q, k] == relation * N_OFFSETS + min(bar[q] - bar[k], LAST_OFFSET + 1)


def test_the_price_is_the_work_left_open():
    gates = Gates(FOUR)
    work = torch.zeros(2, LAST_OFFSET + 1)
    work[0, 3], work[1, 8] = 0.5, 0.25  # own part 4 bars back, others 9
    assert float(gates.price(work).detach()) == pytest.approx(0.5 * 0.7 + 0.25 * 0.6)


def test_a_shut_gate_hides_and_an_open_one_shows():
    rows = encode(compose_piece(np.random.default_rng(0), form="A"), V)[0]
    spec = MaskSpec(same=(), near=0, far=(), summaries=False)
    gated = small(spec, gated=True)
    for open_, plain in (
        (torch.full((2, LAST_OFFSET + 1), -1e4), spec),
        (torch.full((2, LAST_OFFSET + 1), 1e4), MaskSpec(same="full", near=MOST_OFFSET, far=(), summaries=False)),
    ):
        with torch.no_grad():
            gated.gates.value.copy_(open_)
        torch.testing.assert_close(nll_of(gated, rows), nll_of(small(plain), rows))


def learned(steps, *, price=0.02, phrase=6):
    """Gates after training on composed pieces that recur every `phrase` bars, begun at a prior of period 4; and their work."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    pieces = [encode(compose_piece(np.random.default_rng(i), form="AAAA", phrase=phrase), V)[0] for i in range(60)]
    cut = windows(pieces, 700, V)
    work = work_by_gate(window_pairs(cut, V), exempt=False)
    prior = dict.fromkeys(range(1, 33), 0.3) | {4: 0.7, 8: 0.5}
    spec = MaskSpec(same=(4,), near=0, far=(4,), summaries=False, same_prior=prior, cross_prior=prior)
    sizes = {"layers": 1, "width": 64, "heads": 4, "kv_heads": 2, "hidden": 128, "field_hidden": 48, "dropout": 0.0}
    model = MeloFormer(ModelConfig(**sizes, context=700), V, spec, gated=True)
    model.heads.init_biases(NgramBaseline(pieces, V).unigram)
    others = [p for name, p in model.named_parameters() if name != "gates.value"]
    groups = [{"params": others, "lr": 3e-3}, {"params": [model.gates.value], "lr": 0.02, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    share = torch.from_numpy(work)
    for _ in range(steps):
        some = [cut[i] for i in random.choice(len(cut), 2, replace=False)]
        layout = model.layout(pack_of_rows(*(w.rows for w in some), first_bar=[w.first_bar for w in some]))
        loss = model(layout).sum() / layout.n_notes + price * model.gates.price(share)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        optimizer.step()
    return model.gates, work


@pytest.mark.slow
def test_gates_find_the_period_that_was_planted():
    gates, work = learned(1200)
    found = gates.read_out(work)
    assert found.same.offsets[4].prior == pytest.approx(0.7)
    own = {k: gate.learned for k, gate in found.same.offsets.items() if gate.density}
    assert max(own, key=own.__getitem__) == 6
    assert own[6] > 0.8
    assert own[4] < 0.2
    assert all(own[k] < 0.5 for k in (1, 2, 3, 5, 7, 8, 9, 10, 11))
    spec = learned_mask(found)
    assert 6 in spec.same
    assert 4 not in spec.same


def test_what_does_not_help_is_shut_by_its_price():
    # too short to learn what recurs: the price alone moves the gates, those most that cost most
    gates, work = learned(40, price=3.0)
    offsets = gates.read_out(work).same.offsets
    used = [gate for gate in offsets.values() if gate.density > 0.001]
    assert used
    assert all(gate.learned < gate.prior - 0.01 for gate in used)
    unused = [gate for gate in offsets.values() if not gate.density]
    assert unused
    assert all(gate.learned == pytest.approx(gate.prior) for gate in unused)


def test_read_out_keeps_each_gate_apart():
    gates, work = Gates(FOUR), np.arange(2 * (LAST_OFFSET + 1)).reshape(2, -1) / 100
    value = torch.linspace(-2, 2, 2 * (LAST_OFFSET + 1)).reshape(2, -1)
    with torch.no_grad():
        gates.value.copy_(value)
    found = gates.read_out(work)
    for curve, logits, spent in ((found.same, value[0], work[0]), (found.cross, value[1], work[1])):
        read = [*curve.offsets.values(), curve.beyond]
        assert list(curve.offsets) == list(range(1, LAST_OFFSET + 1))
        assert [g.learned for g in read] == pytest.approx(torch.sigmoid(logits).tolist())
        assert [g.density for g in read] == spent.tolist()
    assert found.same.offsets[4].prior == pytest.approx(0.7)
    assert found.cross.offsets[9].prior == pytest.approx(0.6)
    assert found.cross.beyond.prior == pytest.approx(0.6)
