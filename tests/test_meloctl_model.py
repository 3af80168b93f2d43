"""The model: nothing leaks, sizes are as promised, packing, padding and recomputing change nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from small_models import EXEMPT, SEED, V, music, nll_of, pack_of_rows, small, states_of, with_sharp_attention
from strategies import specs

from analysis.errors import MeloError
from masks.dense import dense_mask
from masks.spec import MaskSpec
from meloctl.dataset.packs import padded
from meloctl.model.config import PRESETS, ModelConfig
from meloctl.model.meloformer.model import MeloFormer, n_parameters
from meloctl.model.rotary import rotate, rotation
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, NOTE_FIELDS, PITCH, POSITION

BARE = MaskSpec(same=(1, 3), near=1, far=(4,), summaries=False)


# positions


def test_rotary_scores_depend_on_differences_in_time_alone():
    torch.manual_seed(0)
    q, k = torch.randn(8), torch.randn(8)

    def score(q_bar, q_position, k_bar, k_position):
        a, b = (rotation(torch.tensor(x), torch.tensor(y), 8) for x, y in ((q_bar, q_position), (k_bar, k_position)))
        return (rotate(q, a) * rotate(k, b)).sum()

    torch.testing.assert_close(score(7, 30, 3, 12), score(104, 18, 100, 0), rtol=1e-4, atol=1e-4)
    assert abs(score(7, 30, 3, 12) - score(7, 30, 4, 12)) > 1e-3
    assert abs(score(7, 30, 3, 12) - score(7, 30, 3, 13)) > 1e-3


# no leak


def expected_visible_rows(spec, bar, part, layers):
    """Which rows each row's state depends on after some layers, by sets and plain loops over the four blocks."""
    see = dense_mask(spec, bar, part, {p for p in part if p // 100 == V.drums})
    rows = [{i} for i in range(len(bar))]
    bars = [set() for _ in range(max(bar) + 1)]
    for _ in range(layers):
        if spec.summaries:
            bars = [
                set().union(*bars[: b + 1], *(rows[i] for i in range(len(bar)) if bar[i] == b))
                for b in range(len(bars))
            ]
        rows = [
            set().union(
                *(rows[j] for j in range(len(bar)) if see[i, j]),
                *(bars[c] for c in range(bar[i]) if spec.summaries),
            )
            for i in range(len(bar))
        ]
    return rows


def measured_visible_rows(model, rows):
    """Which rows the state that predicts the next row depends on, by gradients with respect to the rows' embeddings."""
    kept = {}
    hook = model.embed.register_forward_hook(lambda _m, _i, out: kept.update(rows=out))
    states = states_of(model, rows)
    hook.remove()
    probe = torch.randn(states.shape[1], dtype=states.dtype)
    visible_rows = []
    for i in range(1, len(rows)):
        (grad,) = torch.autograd.grad(states[i] @ probe, kept["rows"], retain_graph=True)
        visible_rows.append(set(grad.abs().sum(1).nonzero()[:, 0].tolist()))
    return visible_rows


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(
    "spec",
    [
        SEED,
        BARE,
        EXEMPT,
        MaskSpec(same="full", near=2, far=(4,), drums="exempt", summaries=True),
        MaskSpec(same="full", near=2, far=(4,), summaries=False),
        MaskSpec(same=(4,), near=0, far=(), summaries=False),
        MaskSpec(same=(), near=0, far=(), summaries=True),
    ],
)
def test_each_state_depends_on_exactly_the_rows_it_may_see(spec, layers):
    rows, bar, part = music(seed=layers, bars=9)
    expected = expected_visible_rows(spec, bar, part, layers)
    assert measured_visible_rows(small(spec, layers), rows) == expected[:-1]
    if layers == 1 and not spec.summaries:
        assert any(len(s) < i + 1 for i, s in enumerate(expected))  # the spec hides something


@pytest.mark.parametrize(
    "broken", [{"near": 2}, {"far": (3,)}, {"far": (4, 5)}, {"same": (1, 2)}, {"same": (1, 3, 4)}, {"summaries": True}]
)
def test_a_mask_broken_by_one_bar_is_noticed(broken):
    rows, bar, part = music(seed=3, bars=9)
    wrong = MaskSpec(**{"same": BARE.same, "near": BARE.near, "far": BARE.far, "summaries": False, **broken})
    assert measured_visible_rows(small(wrong, 1), rows) != expected_visible_rows(BARE, bar, part, 1)[:-1]


def test_an_exemption_that_is_not_honoured_is_noticed():
    rows, bar, part = music(seed=3, bars=9)
    drums = {p for p in part if p // 100 == V.drums}
    masked = MaskSpec(same=EXEMPT.same, near=EXEMPT.near, far=EXEMPT.far, summaries=False)
    assert (dense_mask(EXEMPT, bar, part, drums) != dense_mask(masked, bar, part, drums)).any()
    assert measured_visible_rows(small(masked, 1), rows) != expected_visible_rows(EXEMPT, bar, part, 1)[:-1]


def test_the_first_state_is_the_same_for_every_piece():
    model = small(SEED)
    (a, *_), (b, *_) = music(seed=1), music(seed=2, signatures=[(0, 3, 4)])
    assert torch.equal(states_of(model, a)[0], states_of(model, b)[0])


def test_a_fields_logits_see_the_fields_before_it_alone():
    model = small(SEED)
    heads = model.heads
    rows, *_ = music(seed=1)
    note = rows[(rows[:, PITCH] != ABSENT).nonzero()[0]]
    state = torch.randn(1, 24, dtype=torch.float64)
    before = {f: x for f, (_, x) in heads.all_logits(state, note).items() if len(x)}
    note_fields = [INSTRUMENT, *NOTE_FIELDS]
    assert set(before) == set(note_fields)
    for changed in note_fields[1:]:
        other = note.clone()
        other[0, changed] += 1
        after = {f: x for f, (_, x) in heads.all_logits(state, other).items() if len(x)}
        for f in note_fields:
            assert torch.equal(before[f], after[f]) == (note_fields.index(f) <= note_fields.index(changed)), (
                changed,
                f,
            )


# packs


@settings(max_examples=10)
@given(specs())
def test_windows_of_a_pack_are_as_if_alone(spec):
    model = small(spec)
    several = [music(seed, bars=bars)[0] for seed, bars in ((1, 3), (2, 8), (3, 1))]
    nll = nll_of(model, *several, first_bar=[0, 5, 0])
    alone = torch.cat([nll_of(model, rows, first_bar=[bar]) for rows, bar in zip(several, (0, 5, 0), strict=True)])
    torch.testing.assert_close(nll, alone)


@pytest.mark.parametrize("gated", [False, True])
def test_nothing_leaks_from_window_to_window(gated):
    model = small(SEED, gated=gated)
    (a, *_), (b, *_) = music(seed=1), music(seed=2)
    kept = {}
    hook = model.embed.register_forward_hook(lambda _m, _i, out: kept.update(rows=out))
    states = states_of(model, a, b)
    hook.remove()
    (grad,) = torch.autograd.grad(states[len(a) :].square().sum(), kept["rows"])
    assert not grad[: len(a)].any()
    assert grad[len(a) :].any()


def test_padding_changes_nothing():
    model = small(SEED)
    pack = pack_of_rows(music(seed=1)[0], music(seed=2)[0])
    longer = padded(pack, pack.n_rows + 7)
    layout = model.layout(longer)
    nll = model(layout)
    torch.testing.assert_close(nll[: pack.n_rows], model(model.layout(pack)))
    assert not nll[pack.n_rows :].any()
    assert (layout.n_rows, layout.n_notes) == (pack.n_rows, pack.n_notes)


def test_only_differences_of_bar_numbers_matter_but_for_the_first_row():
    model = with_sharp_attention(small(SEED))
    rows, *_ = music(seed=4)
    at_0, at_9 = (nll_of(model, rows, first_bar=[bar]) for bar in (0, 9))
    torch.testing.assert_close(at_0[1:], at_9[1:], rtol=1e-4, atol=1e-4)
    assert at_0[0].any()
    assert not at_9[0].any()


def test_rows_and_summaries_stand_at_their_true_bars():
    model = small(SEED)
    (a, bar_a, _), (b, bar_b, _) = music(seed=4, bars=3), music(seed=5, bars=2)
    layout = model.layout(pack_of_rows(a, b, first_bar=[7, 40]))
    bars = torch.tensor([7 + x for x in bar_a] + [40 + x for x in bar_b])
    position = torch.cat([a, b])[:, POSITION].clamp(min=0)
    assert torch.equal(layout.row_rotation[: len(bars), 0], rotation(bars, position, 12))
    summaries = torch.tensor([7, 8, 9, 40, 41])
    assert torch.equal(layout.bar_rotation[:5, 0], rotation(summaries, torch.zeros(5), 12))
    assert len(layout.row_rotation) % 64 == len(layout.bar_rotation) % 16 == 0


@pytest.mark.parametrize("gated", [False, True])
def test_mixed_precision_is_near(gated):
    model = small(SEED, gated=gated).float()
    rows, *_ = music(seed=6)
    plain = nll_of(model, rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = nll_of(model, rows)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, plain, rtol=0.02, atol=0.02)


def test_what_counts_is_counted():
    model = small(SEED)
    a, b = music(seed=4)[0], music(seed=5)[0]
    b = b[1:] if b[1, INSTRUMENT] == V.bar else b
    layout = model.layout(pack_of_rows(a, b, first_bar=[0, 3]))
    assert layout.loss_mask_N.tolist() == [True] * len(a) + [False] + [True] * (len(b) - 1)
    assert layout.n_notes == int((a[:, PITCH] != ABSENT).sum()) + int((b[1:, PITCH] != ABSENT).sum())


def test_recomputing_layers_changes_no_gradient():
    pack = pack_of_rows(music(seed=1)[0], music(seed=2)[0])
    grads = []
    for checkpointing in (False, True):
        model = small(SEED, gated=True, dropout=0.3).train()
        model.checkpointing = checkpointing
        torch.manual_seed(5)
        model(model.layout(pack)).sum().backward()
        grads.append({n: p.grad for n, p in model.named_parameters()})
    for name, grad in grads[0].items():
        torch.testing.assert_close(grad, grads[1][name], msg=name)


def test_the_loss_is_of_the_fields_that_a_row_has():
    model = small(SEED)
    rows, *_ = music(seed=5)
    nll = nll_of(model, rows)
    assert ((nll > 0) == (rows != ABSENT)).all()


def test_an_untrained_model_is_near_uniform():
    model = small(SEED)
    rows, *_ = music(seed=6)
    nll = nll_of(model, rows).detach()
    for field, size in enumerate(V.sizes):
        mine = nll[rows[:, field] != ABSENT, field]
        if len(mine):
            assert abs(float(mine.mean()) - np.log(size)) < 0.2


def test_heads_start_from_shares():
    model = small(SEED)
    shares = [np.random.default_rng(0).dirichlet(np.ones(size)) for size in V.sizes]
    model.heads.init_biases(shares)
    with torch.no_grad():
        for head in model.heads.heads:
            head.outer.weight.zero_()
        logits = model.heads.logits(PITCH, torch.randn(24, dtype=torch.float64))
    np.testing.assert_allclose(logits.softmax(-1).numpy(), shares[PITCH], rtol=1e-6)


# sizes


@pytest.mark.parametrize(("preset", "millions"), [("small", 17), ("base", 85), ("large", 397)])
def test_presets_have_the_seeds_sizes(preset, millions):
    with torch.device("meta"):
        model = MeloFormer(PRESETS[preset], V, SEED)
    assert abs(n_parameters(model) / 1e6 - millions) < 0.15 * millions


@pytest.mark.parametrize("gated", [False, True])
def test_every_parameter_learns(gated):
    model = small(SEED, layers=3, gated=gated).train()
    rows, *_ = music(seed=7)
    nll_of(model, rows).sum().backward()
    silent = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().any()}
    assert silent == set()


def test_configs_round_trip_and_refuse():
    config = PRESETS["tiny"]
    assert ModelConfig.from_json(config.to_json()) == config
    good = config.to_json()
    for change, message in (
        ({"width": 190}, "multiple of 4"),
        ({"kv_heads": 4}, r"heads \(6\) must be a multiple of kv_heads \(4\)"),
        ({"layers": 0}, "layers is 0"),
        ({"layers": True}, "layers is True"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"depth": 3}, "unknown key 'depth'"),
        ({"format": "x"}, "not a model"),
    ):
        with pytest.raises(MeloError, match=message):
            ModelConfig.from_json({**good, **change})
    del good["heads"]
    with pytest.raises(MeloError, match="no 'heads'"):
        ModelConfig.from_json(good)
