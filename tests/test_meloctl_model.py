"""The model: masks equal the definition, nothing leaks, sizes are as promised, padding and windows change nothing."""

import numpy as np
import pytest
import torch
from conftest import piece_of
from hypothesis import given, settings
from hypothesis import strategies as st
from test_masks_dense import layouts
from test_masks_spec import specs

from analysis.errors import MeloError
from analysis.piece import Part
from masks.dense import dense_mask, dense_summary_mask
from masks.spec import MaskSpec
from meloctl.model.attention import attend, rotate, rotation, row_mask, summary_masks
from meloctl.model.config import PRESETS, ModelConfig
from meloctl.model.meloformer import MeloFormer, n_parameters
from meloctl.rows.codec import encode
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, NUMBER, PITCH, default_vocabulary

V = default_vocabulary()
SEED = MaskSpec(same="full", near=2, far=(4,), summaries=True)
EXEMPT = MaskSpec(same=(4,), near=0, far=(3,), drums="exempt", summaries=False)
BARE = MaskSpec(same=(1, 3), near=1, far=(4,), summaries=False)


def small(spec, layers=2, **change):
    torch.manual_seed(0)
    sizes = {
        "layers": layers,
        "width": 24,
        "heads": 2,
        "kv_heads": 1,
        "hidden": 29,
        "field_hidden": 13,
        "dropout": 0.0,
        "context": 64,
    }
    return MeloFormer(ModelConfig(**{**sizes, **change}), V, spec).double().eval()


def music(seed, bars=8, parts=3, signatures=None):
    """Rows (L, 8) of a random piece, some cells empty, and its bar and part by row."""
    rng = np.random.default_rng(seed)
    notes = [
        (p, 48 * b + int(rng.integers(0, 48)), 6, int(rng.integers(40, 80)))
        for b in range(bars)
        for p in range(parts)
        for _ in range(rng.integers(0, 3))
    ]
    notes += [(p, 0, 6, 50 + p) for p in range(parts)] + [(0, 48 * (bars - 1), 6, 60)]
    drums_first = tuple(Part(program=10 * p, is_drum=p == 0) for p in range(parts))
    rows, _ = encode(piece_of(notes, parts=drums_first, signatures=signatures), V)
    bar = np.cumsum(rows[:, INSTRUMENT] == V.bar) - 1
    part = rows[:, INSTRUMENT].astype(int) * 100 + rows[:, NUMBER]
    return torch.from_numpy(rows.astype(np.int64)), bar.tolist(), part.tolist()


ZERO = torch.zeros(1, dtype=torch.int64)


# attention


def test_attend_by_hand():
    # one head, two keys of equal score: the mean of their values; a hidden key adds nothing
    q = torch.zeros(1, 1, 1, 4)
    k = torch.zeros(1, 1, 3, 4)
    v = torch.tensor([1.0, 3.0, 100.0])[None, None, :, None].expand(1, 1, 3, 4)
    assert attend(q, k, v, torch.tensor([[[True, True, False]]])).tolist() == [[[[2.0] * 4]]]


def test_each_key_head_serves_its_query_heads():
    torch.manual_seed(0)
    q, k, v = torch.randn(2, 6, 5, 4), torch.randn(2, 3, 7, 4), torch.randn(2, 3, 7, 4)
    see = torch.ones(2, 5, 7, dtype=torch.bool)
    shared = attend(q, k, v, see)
    copied = attend(q, k.repeat_interleave(2, 1), v.repeat_interleave(2, 1), see)
    torch.testing.assert_close(shared, copied)


@given(specs(), layouts(), st.sets(st.integers(0, 3), max_size=2))
def test_the_row_mask_is_the_definition(spec, layout, drums):
    bar, part = layout
    rows = torch.tensor([bar]), torch.tensor([part])
    got = row_mask(spec, *rows, torch.tensor([[p in drums for p in part]]))[0]
    assert (got.numpy() == dense_mask(spec, bar, part, drums)).all()
    assert torch.equal(row_mask(spec, *rows), row_mask(spec, *rows, torch.zeros(1, len(bar), dtype=torch.bool)))


@given(layouts())
def test_the_summary_masks_are_the_definition(layout):
    bar, _ = layout
    n = max(bar) + 1
    ss, sr, rs = summary_masks(torch.tensor([bar]), n)
    assert (rs[0].numpy() == dense_summary_mask(SEED, bar, n)).all()
    assert (ss[0].numpy() == np.tri(n, dtype=bool)).all()
    assert (sr[0].numpy() == (np.arange(n)[:, None] == np.array(bar))).all()


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


def expected_sight(spec, bar, part, layers):
    """Which rows each row's state has heard of after some layers, by sets and plain loops over the four blocks."""
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


def measured_sight(model, rows):
    """Which rows the state that predicts the next row depends on, by gradients with respect to the rows' embeddings."""
    kept = {}
    hook = model.embed.register_forward_hook(lambda _m, _i, out: kept.update(rows=out))
    states = model.states(rows[None], ZERO)[0]
    hook.remove()
    probe = torch.randn(states.shape[1], dtype=states.dtype)
    sight = []
    for i in range(1, len(rows)):
        (grad,) = torch.autograd.grad(states[i] @ probe, kept["rows"], retain_graph=True)
        sight.append(set(grad[0].abs().sum(1).nonzero()[:, 0].tolist()))
    return sight


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
    expected = expected_sight(spec, bar, part, layers)
    assert measured_sight(small(spec, layers), rows) == expected[:-1]
    if layers == 1 and not spec.summaries:
        assert any(len(s) < i + 1 for i, s in enumerate(expected))  # the spec hides something


@pytest.mark.parametrize(
    "broken", [{"near": 2}, {"far": (3,)}, {"far": (4, 5)}, {"same": (1, 2)}, {"same": (1, 3, 4)}, {"summaries": True}]
)
def test_a_mask_broken_by_one_bar_is_noticed(broken):
    rows, bar, part = music(seed=3, bars=9)
    wrong = MaskSpec(**{"same": BARE.same, "near": BARE.near, "far": BARE.far, "summaries": False, **broken})
    assert measured_sight(small(wrong, 1), rows) != expected_sight(BARE, bar, part, 1)[:-1]


def test_an_exemption_that_is_not_honoured_is_noticed():
    rows, bar, part = music(seed=3, bars=9)
    drums = {p for p in part if p // 100 == V.drums}
    masked = MaskSpec(same=EXEMPT.same, near=EXEMPT.near, far=EXEMPT.far, summaries=False)
    assert (dense_mask(EXEMPT, bar, part, drums) != dense_mask(masked, bar, part, drums)).any()
    assert measured_sight(small(masked, 1), rows) != expected_sight(EXEMPT, bar, part, 1)[:-1]


def test_the_first_state_is_the_same_for_every_piece():
    model = small(SEED)
    (a, *_), (b, *_) = music(seed=1), music(seed=2, signatures=[(0, 3, 4)])
    assert torch.equal(model.states(a[None], ZERO)[0, 0], model.states(b[None], ZERO)[0, 0])


def test_a_fields_logits_see_the_fields_before_it_alone():
    model = small(SEED)
    heads = model.heads
    rows, *_ = music(seed=1)
    note = rows[(rows[:, PITCH] != ABSENT).nonzero()[0]]
    state = torch.randn(1, 24, dtype=torch.float64)
    before = {f: x for f, (_, x) in heads.every_logits(state, note).items() if len(x)}
    note_fields = [INSTRUMENT, NUMBER, 2, PITCH, 4, 5]
    assert set(before) == set(note_fields)
    for changed in note_fields[1:]:
        other = note.clone()
        other[0, changed] += 1
        after = {f: x for f, (_, x) in heads.every_logits(state, other).items() if len(x)}
        for f in note_fields:
            assert torch.equal(before[f], after[f]) == (note_fields.index(f) <= note_fields.index(changed)), (
                changed,
                f,
            )


# batches


@settings(max_examples=10)
@given(specs())
def test_padding_changes_nothing(spec):
    model = small(spec)
    (a, *_), (b, *_) = music(seed=1, bars=3), music(seed=2, bars=8)
    both = torch.full((2, len(b), len(FIELDS)), ABSENT)
    both[0, : len(a)], both[1] = a, b
    nats = model(both, torch.zeros(2, dtype=torch.int64))
    torch.testing.assert_close(nats[0, : len(a)], model(a[None], ZERO)[0])
    torch.testing.assert_close(nats[1], model(b[None], ZERO)[0])
    assert not nats[0, len(a) :].any()


def test_only_differences_of_bar_numbers_matter_but_for_the_first_row():
    model = small(SEED)
    rows, *_ = music(seed=4)
    at_0, at_9 = model(rows[None], ZERO), model(rows[None], ZERO + 9)
    torch.testing.assert_close(at_0[:, 1:], at_9[:, 1:], rtol=1e-4, atol=1e-5)
    assert at_0[:, 0].any()
    assert not at_9[:, 0].any()


def test_nats_are_of_the_fields_that_a_row_has():
    model = small(SEED)
    rows, *_ = music(seed=5)
    nats = model(rows[None], ZERO)[0]
    assert ((nats > 0) == (rows != ABSENT)).all()


def test_an_untrained_model_is_near_uniform():
    model = small(SEED)
    rows, *_ = music(seed=6)
    nats = model(rows[None], ZERO)[0].detach()
    for field, size in enumerate(V.sizes):
        mine = nats[rows[:, field] != ABSENT, field]
        if len(mine):
            assert abs(float(mine.mean()) - np.log(size)) < 0.2


def test_heads_start_from_shares():
    model = small(SEED)
    shares = [np.random.default_rng(0).dirichlet(np.ones(size)) for size in V.sizes]
    model.heads.start_from(shares)
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


def test_every_parameter_learns():
    model = small(SEED, layers=3).train()
    rows, *_ = music(seed=7)
    model(rows[None], ZERO).sum().backward()
    silent = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().any()}
    assert silent == set()


def test_configs_round_trip_and_refuse():
    config = PRESETS["tiny"]
    assert ModelConfig.from_json(config.to_json()) == config
    good = config.to_json()
    for change, message in (
        ({"width": 190}, "multiple of 4"),
        ({"kv_heads": 4}, "kv_heads"),
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
