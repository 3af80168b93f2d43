"""MeloFormer on windows with masked bars: the middle, which comes last, attends both ways, and to nothing yet to come."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import SEED, V, masked_window, music, small, with_sharp_attention
from strategies import specs

from masks.dense import dense_mask
from masks.spec import MaskSpec
from meloctl.dataset.packs import pack_of, padded
from meloctl.dataset.windows import Window
from meloctl.model.rotary import rotation
from meloctl.rows.vocabulary import ABSENT, INSTANCE, INSTRUMENT, PITCH, POSITION

BARE = MaskSpec(same=(1, 3), near=1, far=(4,), summaries=False)


def places(made):
    """(bar, segment, part) of each row, by plain loops."""
    bar, segment, part, opened, at = [], [], [], -1, -1
    for i, row in enumerate(made.rows):
        if row[INSTRUMENT] in (V.bar, V.masked_bar, V.infill_bar):
            opened += 1
            at = made.middle.bar if i == made.middle.row else at + 1
        bar.append(at)
        segment.append(opened)
        instrument = V.bar if row[INSTRUMENT] == V.masked_bar else int(row[INSTRUMENT])  # header rows are one part
        part.append(instrument * 100 + int(row[INSTANCE]))
    return bar, segment, part


def expected_field(spec, made, layers):
    """Receptive field of each row's state: the rows it depends on, by sets and plain loops over the four blocks."""
    bar, segment, part = places(made)
    see = dense_mask(spec, bar, part, {p for p in part if p // 100 == V.drums})
    rows = [{i} for i in range(len(bar))]
    sums = [set() for _ in range(segment[-1] + 1)]
    for _ in range(layers):
        if spec.summaries:
            sums = [
                set().union(*sums[: s + 1], *(rows[i] for i in range(len(bar)) if segment[i] == s))
                for s in range(len(sums))
            ]
        rows = [
            set().union(
                *(rows[j] for j in range(len(bar)) if see[i, j]),
                *(sums[s] for s in range(segment[i]) if spec.summaries),
            )
            for i in range(len(bar))
        ]
    return rows


def measured_field(model, made):
    """Receptive field of each row's state, by gradients."""
    kept = {}
    hook = model.embed.register_forward_hook(lambda _m, _i, out: kept.update(rows=out))
    states = model.states(model.layout(pack_of([made])))
    hook.remove()
    probe = torch.randn(states.shape[1], dtype=states.dtype)
    field = []
    for i in range(1, len(made.rows)):
        (grad,) = torch.autograd.grad(states[i] @ probe, kept["rows"], retain_graph=True)
        field.append(set(grad.abs().sum(1).nonzero()[:, 0].tolist()))
    return field


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("some", [False, True])
@pytest.mark.parametrize("spec", [SEED, BARE, MaskSpec(same=(), near=0, far=(2,), drums="exempt", summaries=True)])
def test_each_state_depends_on_exactly_the_rows_that_the_mask_shows(spec, some, layers):
    made = masked_window(layers, some=some)
    assert measured_field(small(spec, layers), made) == expected_field(spec, made, layers)[:-1]


def test_a_row_of_the_middle_attends_to_bars_on_both_sides():
    # own part one bar back or ahead, others in one's own bar alone: what is seen of bars 2 and 4 from bar 3
    spec = MaskSpec(same=(1,), near=0, far=(), summaries=False)
    made = masked_window(3, first=3, last=3)
    bar, _, part = places(made)
    rows = [i for i in range(made.middle.row, len(bar)) if part[i] // 100 not in (V.infill_bar, V.end)]
    seen = {bar[j] - bar[i] for i in rows for j in np.flatnonzero(dense_mask(spec, bar, part)[i])}
    assert seen == {-1, 0, 1}


@settings(max_examples=10)
@given(specs(), st.booleans())
def test_windows_of_a_pack_are_as_if_alone(spec, gated):
    model = small(spec, gated=gated)
    several = [
        masked_window(1, first_bar=5),
        Window(rows=music(2)[0].numpy().astype(np.int16), first_bar=2),
        masked_window(3, some=True),
    ]
    together = model(model.layout(pack_of(several)))
    alone = torch.cat([model(model.layout(pack_of([w]))) for w in several])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("gated", [False, True])
def test_flex_gives_the_same(gated, monkeypatch):
    from plain_flex import plain_flex

    from meloctl.model.attention.flex import kernel as flex
    from meloctl.model.attention.flex.planner import FlexPlanner
    from meloctl.model.attention.gates import all_earlier_rows
    from meloctl.model.meloformer.layout import layout_of

    monkeypatch.setattr(flex, "flex_attention", plain_flex)
    model = small(SEED, gated=gated)
    planner = FlexPlanner(all_earlier_rows(SEED) if gated else SEED, gated=gated)
    pack = padded(pack_of([masked_window(1), masked_window(2, some=True, first_bar=4)]), 192)
    for_cuda = layout_of(pack, planner, V, model.config.head_width)
    torch.testing.assert_close(model(for_cuda), model(model.layout(pack)))


def test_rows_and_summaries_stand_at_their_true_bars():
    model, made = small(SEED), masked_window(4, first_bar=7)
    layout = model.layout(pack_of([made]))
    bar, segment, _ = places(made)
    position = torch.from_numpy(made.rows[:, POSITION].astype(np.int64)).clamp(min=0)
    assert torch.equal(layout.row_rotation[: len(bar), 0], rotation(torch.tensor(bar) + 7, position, 12))
    of_segment = dict(zip(segment, bar, strict=True))
    summaries = torch.tensor([7 + of_segment[s] for s in range(segment[-1] + 1)])
    assert summaries.tolist() == [7, 8, 9, 10, 11, 12, 13, 14, 15, 10, 11, 12, 13]
    assert torch.equal(layout.bar_rotation[: len(summaries), 0], rotation(summaries, torch.zeros(13), 12))


def test_a_window_elsewhere_in_its_piece_costs_the_same():
    model = with_sharp_attention(small(SEED))
    at_0, at_9 = (model(model.layout(pack_of([masked_window(4, first_bar=bar)]))) for bar in (0, 9))
    torch.testing.assert_close(at_0[1:], at_9[1:], rtol=1e-4, atol=1e-4)


def test_infill_headers_cost_their_instrument_alone():
    model, made = small(SEED), masked_window(5)
    layout = model.layout(pack_of([made]))
    nll = model(layout)
    has = made.rows != ABSENT
    has[made.rows[:, INSTRUMENT] == V.infill_bar, 1:] = False
    has[[*made.middle.masked_headers, made.middle.row]] = False  # what says which bars are masked
    assert len(made.middle.masked_headers) == 4
    assert ((nll > 0).numpy() == has).all()
    assert layout.n_notes == int((made.rows[:, PITCH] >= 0).sum())
