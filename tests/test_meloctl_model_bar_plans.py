"""Bar plans: who sees which plan, how narrow the channel is, and that a model without them stays as it is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import EXEMPT, SEED, V, music, small

from analysis.errors import MeloError
from meloctl.dataset.infill_windows import infill_window
from meloctl.dataset.packs import pack_of, padded
from meloctl.dataset.plan_bars import random_plan_bars
from meloctl.dataset.stream import PackStream
from meloctl.dataset.windows import Window, windows
from meloctl.model.bar_plans import BarPlans, WithLoss
from meloctl.rows.bar_features import piece_features
from meloctl.rows.vocabulary import INSTRUMENT, PITCH, VELOCITY

D = 5


def planned(spec=SEED, **more):
    model = small(spec, plan_width=D, **more)
    with torch.no_grad():
        for layer in (model.plans.own, model.plans.next, model.plans.opening):
            layer.weight.normal_(std=0.5)  # so that plans matter
            layer.bias.normal_(std=0.5)
    return model


def window(seed=1, **more):
    rows, bar, _ = music(seed, **more)
    return Window(rows=rows.numpy().astype(np.int16), first_bar=0), np.array(bar)


def states(model, pack):
    with torch.no_grad():
        return model.states(model.layout(pack))


def all_bars(*chosen):
    return np.ones(sum(int(np.isin(w.rows[:, INSTRUMENT], (V.bar, V.masked_bar)).sum()) for w in chosen), dtype=bool)


@pytest.mark.parametrize("spec", [SEED, EXEMPT])
def test_a_plan_is_seen_from_the_bar_before_it_on(spec):
    model = planned(spec)
    one, bar = window()
    before = states(model, pack_of([one], all_bars(one)))
    for b in (0, 1, 4):
        given = all_bars(one)
        given[b] = False
        differs = (states(model, pack_of([one], given)) - before).abs().sum(dim=1) > 1e-9
        assert not differs[1:][bar[:-1] < b - 1].any()  # row i + 1's state has read row i
        assert differs[1:][(bar[:-1] == b) | (bar[:-1] == b - 1)].all()
        assert bool(differs[0]) == (b == 0)


def test_notes_of_a_bar_reach_earlier_states_through_its_plan_alone():
    """The same plans and other notes of later bars: states before do not change. The channel is all there is."""
    model = planned()
    one, bar = window()
    vectors = model.plans.of_rows(one.rows, V)
    other = one.rows.copy()
    later = (bar >= 4) & (one.rows[:, PITCH] >= 0)
    other[later, PITCH] = 127 - other[later, PITCH]
    other[later, VELOCITY] = 3
    changed = Window(rows=other, first_bar=0)
    assert not np.allclose(model.plans.of_rows(other, V)[4:], vectors[4:])
    free = states(model, pack_of([changed], all_bars(one)))
    forced = torch.from_numpy(vectors).double()
    model.plans.forward = lambda features: torch.cat([forced, forced.new_zeros(1, D)])
    same = states(model, pack_of([one], all_bars(one)))
    fixed = states(model, pack_of([changed], all_bars(one)))
    earlier = np.append(True, bar[:-1] < 4)
    torch.testing.assert_close(same[earlier], fixed[earlier], rtol=0, atol=0)
    assert not torch.allclose(same[earlier], free[earlier])


def test_gradients_say_which_bars_features_a_state_depends_on():
    model = planned()
    one, bar = window()
    layout = model.layout(pack_of([one], all_bars(one)))
    values = layout.features.values.double().requires_grad_()
    layout = replace(layout, features=replace(layout.features, values=values))
    seen = model.states(layout)
    for i in (3, len(bar) // 2):
        (gradient,) = torch.autograd.grad(seen[i].sum(), values, retain_graph=True)
        depends = set(gradient.abs().sum(dim=1).nonzero()[:, 0].tolist())
        assert depends == set(range(bar[i - 1] + 2))  # all bars so far and the next: full attention to the same part


def test_windows_of_a_pack_and_padding_change_nothing():
    model = planned()
    one, two = window(1)[0], window(2, bars=5)[0]
    given = np.concatenate([all_bars(one), [True, False, True, False, True]])
    pack = pack_of([one, two], given)
    alone = [
        states(model, pack_of([one], given[: len(all_bars(one))])),
        states(model, pack_of([two], given[len(all_bars(one)) :])),
    ]
    for each in (pack, padded(pack, len(pack.rows) + 17)):
        torch.testing.assert_close(states(model, each)[: pack.n_rows], torch.cat(alone))


def test_no_bar_given_is_as_no_plans_at_all():
    model = planned()
    one, _ = window()
    without = states(model, pack_of([one]))
    assert torch.equal(states(model, pack_of([one], ~all_bars(one))), without)
    plain = small(SEED)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("plans.")})
    assert torch.equal(states(plain, pack_of([one])), without)


def test_conditions_are_what_training_adds():
    model = planned()
    one, bar = window()
    given = np.array([True, True, False, True, False, False, True, True])
    pack = pack_of([one], given)
    with torch.no_grad():
        added = model.plans.added(model.layout(pack).features)
    conditions = model.plans.conditions(BarPlans(vectors=model.plans.of_rows(one.rows, V), given=given))
    np.testing.assert_allclose(added.bars_VTC[:, :-1].transpose(0, 1).numpy(), conditions.rows, atol=1e-5)
    np.testing.assert_allclose(added.start_WC[0].numpy(), conditions.start, atol=1e-5)
    assert added.bar_N[: len(bar)].tolist() == bar.tolist()
    assert conditions.rows.shape == (8, 3, 24)


def test_masked_bars_have_the_plan_of_all_their_notes_wherever_these_stand():
    model = planned()
    one, _ = window()
    moved = infill_window(one.rows, range(2, 4), None, V)
    features = model.layout(pack_of([moved], all_bars(moved))).features
    np.testing.assert_allclose(features.values[:-1].numpy(), piece_features(one.rows, V).values, atol=1e-6)
    infill = np.flatnonzero(moved.rows[:, INSTRUMENT] == V.infill_bar)
    assert features.bar_N[infill].tolist() == [2, 3]


def test_noise_is_of_training_alone_and_bits_are_stated():
    model = planned(plan_noise=2.0)
    one, _ = window()
    layout = model.layout(pack_of([one], all_bars(one)))
    assert torch.equal(model.states(layout), model.states(layout))
    model.train()
    assert not torch.equal(model.states(layout), model.states(layout))
    assert model.plans.bits == pytest.approx(D / 2 * np.log2(1.25))


def test_the_loss_of_plans_is_in_the_gradient_alone():
    model = planned().train()
    one, _ = window()
    layout = model.layout(pack_of([one], all_bars(one)))
    torch.manual_seed(3)
    model(layout).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.plans.parameters())
    x, loss = torch.ones(2, 3, requires_grad=True), torch.tensor(7.0, requires_grad=True)
    total = 0.25 * WithLoss.apply(x, loss).sum()
    total.backward()
    assert (float(total.detach()), float(loss.grad), float(x.grad.sum())) == (1.5, 0.25, 1.5)


def test_shares_of_windows_and_bars_that_are_shown():
    many = [window(seed)[0] for seed in range(4)]
    random = np.random.default_rng(0)
    drawn = np.array([random_plan_bars(many[:1], 0.5, V, random) for _ in range(4000)])
    none, every = ~drawn.any(axis=1), drawn.all(axis=1)
    assert none.mean() == pytest.approx(0.5 + 0.25 / 8, abs=0.04)
    assert 0.25 < every.mean() < 0.32
    assert not random_plan_bars(many, 0.0, V, random).any()
    masked = infill_window(many[0].rows, range(1, 4), None, V)
    assert random_plan_bars([*many, masked], 0.5, V, random).shape == all_bars(*many, many[0]).shape


def test_a_stream_without_plans_is_as_before_and_with_them_the_rows_are_the_same():
    many = windows([window(seed)[0].rows for seed in range(6)], 64, V)
    plain, shown = (PackStream(many, 128, V, seed=3, infill=0.5, plans=share) for share in (0.0, 0.5))
    for n in range(4):
        assert plain.pack_at(n).plan_bars is None
        assert np.array_equal(plain.pack_at(n).rows, shown.pack_at(n).rows)
        assert np.array_equal(shown.pack_at(n).plan_bars, shown.pack_at(n).plan_bars)


def test_plans_that_do_not_fit_are_refused():
    model = planned()
    with pytest.raises(MeloError, match="another model"):
        model.plans.conditions(BarPlans(vectors=np.zeros((3, D + 1), np.float32), given=np.ones(3, bool)))
    for vectors, given in (
        (np.full((3, D), np.nan, np.float32), np.ones(3, bool)),
        (np.zeros((3, D), np.float32), np.ones(2, bool)),
        (np.zeros(3, np.float32), np.ones(3, bool)),
    ):
        with pytest.raises(MeloError):
            BarPlans(vectors=vectors, given=given)


def test_a_short_training_learns_to_use_plans(one_thread):
    """Pieces of loud or soft bars by chance: with the plan the velocity is known, without it is not."""
    random = np.random.default_rng(0)
    pieces = []
    for seed in range(12):
        rows = window(seed, bars=4, parts=1)[0].rows.copy()
        bar = np.cumsum(rows[:, INSTRUMENT] == V.bar) - 1
        level = np.where(random.random(4) < 0.5, 2, 28)[bar]
        rows[:, VELOCITY] = np.where(rows[:, VELOCITY] >= 0, level, rows[:, VELOCITY])
        pieces.append(Window(rows=rows, first_bar=0))
    model = planned(plan_noise=0.2).float().train()
    rate = torch.optim.Adam(model.parameters(), lr=0.01)
    pack = pack_of(pieces, all_bars(*pieces))
    layout = model.layout(pack)
    for _ in range(80):
        rate.zero_grad()
        (model(layout).sum() / layout.n_notes).backward()
        rate.step()
    model.eval()
    first = np.append(True, np.diff(np.cumsum(pack.rows[:, INSTRUMENT] == V.bar)) > 0)
    opening = np.append(False, first[:-1])  # each bar's first note: nothing but the plan says its velocity
    with torch.no_grad():
        with_plan, without = (model(model.layout(p))[opening, VELOCITY].mean() for p in (pack, pack_of(pieces)))
    assert with_plan < 0.35
    assert without > with_plan + 0.3
