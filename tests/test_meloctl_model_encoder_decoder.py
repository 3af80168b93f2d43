"""The encoder–decoder on packs: split at bar lines; a continuation is predicted from its primer and itself alone; it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sibling_models import (
    config,
    n_parameters,
    pack,
    silent_parameters,
    to_learn,
    trained_bits,
    visible_rows,
    window,
    windows_of,
)
from small_models import SEED, V

from analysis.errors import MeloError
from meloctl.dataset.packs import Pack, pack_of, padded
from meloctl.dataset.windows import Window
from meloctl.model.config import PRESETS
from meloctl.model.encoder_decoder.model import (
    EncoderDecoder,
    bars_of,
    hidden_width,
    layers_of,
    musical_time,
    side_by_side,
    split,
)
from meloctl.model.meloformer.model import MeloFormer
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, POSITION

pytestmark = pytest.mark.usefixtures("one_thread")


def small(**change) -> EncoderDecoder:
    torch.manual_seed(0)
    return EncoderDecoder(config(**change), V).double().eval()


def mixed_pack() -> Pack:
    """Windows of several bars and of one, of which the second and the last do not open their piece; and padding."""
    chosen = [window(1, bars=5), window(2, bars=3, first_bar=7), window(3, bars=1), window(4, bars=1, first_bar=2)]
    together = pack_of(chosen)
    return padded(together, together.n_rows + 11)


def splits(together: Pack) -> list[int]:
    """The row at which each window's continuation starts."""
    return [int(a) + split(w.rows, V) for a, w in zip(together.starts, windows_of(together), strict=False)]


# the split


def rows_of_bars(lengths) -> np.ndarray:
    """Rows of bars with so many rows each."""
    rows = np.full((sum(lengths), len(FIELDS)), ABSENT)
    rows[:, INSTRUMENT] = V.drums
    rows[np.cumsum([0, *lengths[:-1]]), INSTRUMENT] = V.bar
    return rows


@pytest.mark.parametrize(
    ("lengths", "primer"),
    [
        ([4, 4], 4),
        ([3, 1, 4], 4),
        ([3, 2, 3], 3),  # both bar lines are one row off the half: the earlier
        ([1, 9], 1),
        ([9, 1], 9),
        ([5, 5, 5, 5, 5], 10),
        ([7], 0),
        ([1], 0),
    ],
)
def test_the_split_is_the_bar_line_nearest_to_the_half(lengths, primer):
    assert split(rows_of_bars(lengths), V) == primer


@given(st.lists(st.integers(1, 9), min_size=2, max_size=12))
def test_no_other_bar_line_is_nearer_to_the_half(lengths):
    primer, lines = split(rows_of_bars(lengths), V), np.cumsum(lengths)[:-1]
    assert primer in lines
    assert abs(2 * primer - sum(lengths)) == min(abs(2 * line - sum(lengths)) for line in lines)


def test_side_by_side_by_hand():
    index, padding = side_by_side(np.array([5, 2]), np.array([7, 5]))
    assert index.tolist() == [[5, 6, 0], [2, 3, 4]]
    assert padding.tolist() == [[False, False, True], [False, False, False]]


def test_bars_count_in_the_piece():
    together = pack_of(
        [Window(rows=rows_of_bars([2, 1, 3]), first_bar=0), Window(rows=rows_of_bars([1, 2]), first_bar=7)]
    )
    assert bars_of(together, V).tolist() == [0, 0, 1, 2, 2, 2, 7, 8, 8]


# who sees whom


@pytest.mark.parametrize("layers", [1, 4])
def test_a_continuation_is_predicted_from_exactly_its_primer_and_the_rows_before(layers):
    together = mixed_pack()
    expected = [set() for _ in range(len(together.rows))]
    for first, begin, last in zip(together.starts[:-1], splits(together), together.starts[1:], strict=True):
        for row in range(begin, last):
            expected[row] = set(range(first, row))
    assert expected[together.starts[4] - 1]  # a window of a single bar is a continuation too
    assert visible_rows(small(layers=layers, hidden=148), together) == expected  # one layer alone becomes two


def test_the_encoder_reads_in_both_directions_and_the_decoder_does_not():
    model, together = small(), pack_of([window(1, bars=6)])
    kept = {}
    hooks = [
        module.register_forward_hook(lambda _m, _i, out, name=name: kept.update({name: out}))
        for name, module in (("rows", model.embed), ("encoder", model.encoder))
    ]
    model(model.layout(together))
    for hook in hooks:
        hook.remove()
    (primer,) = splits(together)
    for step in range(primer + 1):  # the blank and the primer
        (gradient,) = torch.autograd.grad(kept["encoder"][0, step].square().sum(), kept["rows"], retain_graph=True)
        assert gradient.abs().sum(1).nonzero()[:, 0].tolist() == list(range(primer))


def test_a_window_costs_the_same_alone_and_in_company():
    model, together = small(), mixed_pack()
    nll = model(model.layout(together))
    alone = torch.cat([model(model.layout(pack_of([w]))) for w in windows_of(together)])
    torch.testing.assert_close(nll[: together.n_rows], alone, rtol=1e-6, atol=1e-6)
    assert not nll[together.n_rows :].any()


def test_bar_and_position_are_known():
    model = small()
    layout = model.layout(pack_of([window(4, bars=5, first_bar=7)]))
    rows = layout.rows_NF
    assert layout.time_N2[:, 0].tolist() == (6 + (rows[:, INSTRUMENT] == V.bar).cumsum(0)).tolist()
    assert layout.time_N2[:, 1].tolist() == rows[:, POSITION].clamp(min=0).tolist()
    assert layout.start_W2.tolist() == [[10, 0]]  # the continuation opens the fourth bar
    states = model.states(layout)
    for change in ({"time_N2": layout.time_N2 + at} for at in (torch.tensor([1, 0]), torch.tensor([0, 1]))):
        assert (model.states(replace(layout, **change)) - states).abs().amax(2).min() > 1e-4  # every step
    later = model.states(replace(layout, start_W2=layout.start_W2 + 1))
    assert (later - states).abs().amax(2).min() > 1e-6


def test_no_two_moments_look_alike():
    time = torch.cartesian_prod(torch.arange(40), torch.arange(V.sizes[POSITION]))
    placed = musical_time(time, 24)
    assert placed.shape == (len(time), 24)
    assert torch.cdist(placed, placed).fill_diagonal_(9.0).min() > 1e-2
    assert musical_time(torch.tensor([[0, 0]]), 24)[0].tolist() == [0.0] * 12 + [1.0] * 12


def test_the_cost_is_the_same_without_gradients():  # PyTorch's layers then take another path
    model, together = small().float(), mixed_pack()
    layout = model.layout(together)
    with torch.no_grad():
        fast = model(layout)
    torch.testing.assert_close(fast, model.train()(layout), rtol=1e-4, atol=1e-4)


# what counts


def test_what_counts():
    together = mixed_pack()
    layout = small().layout(together)
    counted = np.zeros(len(together.rows), dtype=bool)
    for begin, last in zip(splits(together), together.starts[1:], strict=True):
        counted[begin:last] = True
    counted[together.starts[3]] = False  # a single bar in the middle of its piece: what came before is missing
    assert counted[together.starts[2]]  # a single bar that opens its piece
    assert counted[splits(together)[1]]  # the primer came before
    assert (layout.loss_mask_N.numpy() == counted).all()
    # bars of 4 rows and an end row: 5 bars, 21 rows, are split after 3 of them; 3 bars, 13 rows, after 2
    assert [begin - int(first) for begin, first in zip(splits(together), together.starts, strict=False)] == [
        12,
        8,
        0,
        0,
    ]
    assert (layout.n_rows, layout.n_notes) == (together.n_rows, 3 * (2 + 1 + 1 + 1))


def test_the_loss_is_of_the_fields_of_rows_in_the_loss_mask():
    model, together = small(), mixed_pack()
    layout = model.layout(together)
    nll = model(layout)
    assert nll.dtype == torch.float32
    assert ((nll > 0) == (layout.rows_NF != ABSENT) & layout.loss_mask_N[:, None]).all()


def test_a_pack_in_which_nothing_counts():
    model = small()
    header = Window(rows=window(1, bars=1).rows[:1], first_bar=3)
    nll = model(model.layout(pack_of([header])))
    assert nll.shape == (1, len(FIELDS))
    assert not nll.any()


def test_a_layout_moves_whole():
    layout = small().layout(pack())
    moved = layout.to("meta")
    assert {x.device.type for x in vars(moved).values() if isinstance(x, torch.Tensor)} == {"meta"}
    assert (moved.n_rows, moved.n_notes) == (layout.n_rows, layout.n_notes)


# sizes and learning


@pytest.mark.parametrize("preset", PRESETS)
def test_parameters_are_as_many_as_meloformers(preset):
    with torch.device("meta"):
        ours, theirs = EncoderDecoder(PRESETS[preset], V), MeloFormer(PRESETS[preset], V, SEED)
    assert abs(n_parameters(ours) / n_parameters(theirs) - 1) < 0.05


def test_sizes_at_which_it_would_be_larger_are_refused():
    # a layer of MeloFormer holds 2376 + 72 hidden; these two hold 7488, and 98 for each width of feed-forward layers
    assert hidden_width(config(layers=1, hidden=73)) == 1
    expected = "encoder-decoder: its layers have at least 7,586 parameters, those of a MeloFormer of this size 7,560, "
    with pytest.raises(MeloError, match=f"^{expected}so the sizes cannot match; give a larger size$"):
        small(layers=1, hidden=72)


def test_layers_are_shared_half_and_half():
    assert [layers_of(config(layers=n)) for n in (1, 2, 5, 8)] == [(1, 1), (1, 1), (2, 3), (4, 4)]


def test_every_parameter_learns():
    assert silent_parameters(small(layers=4).train(), mixed_pack()) == set()


def test_first_weights_follow_the_seed_and_depth():
    one, two = small(layers=8), small(layers=8)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    layer = one.decoder.layers[2]
    inner = layer.self_attn.in_proj_weight, layer.multihead_attn.in_proj_weight, layer.linear1.weight
    outer = layer.self_attn.out_proj.weight, layer.multihead_attn.out_proj.weight, layer.linear2.weight
    spreads = [x.detach().std().item() for x in (*inner, *outer)]
    assert spreads == pytest.approx([0.02] * 3 + [0.02 / 4] * 3, rel=0.15)  # 4 is the root of 2 × 8 layers


def test_dropout_is_the_configs():
    model, layout = small(dropout=0.3).train(), small().layout(pack())
    assert (model.states(layout) - model.states(layout)).abs().max() > 1e-3
    still = small(dropout=0.0).train()
    assert torch.equal(still.states(layout), still.states(layout))
    every = [m.dropout for m in model.modules() if isinstance(m, torch.nn.MultiheadAttention)]
    assert every == [0.0, 0.0, 0.0]  # the encoder's, and both of the decoder's: weights of attention are kept whole


def test_mixed_precision_is_near():
    model, together = small().float(), mixed_pack()
    layout = model.layout(together)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(layout)
    mixed.sum().backward()
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, model(layout), rtol=0.02, atol=0.02)


def test_it_overfits_one_pack():
    torch.manual_seed(0)
    model = EncoderDecoder(config(width=64, heads=4, kv_heads=2, hidden=128, field_hidden=32), V).train()
    assert trained_bits(model, to_learn(), steps=300, learning_rate=5e-3) < 0.05
