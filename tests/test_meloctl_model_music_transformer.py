"""The Music Transformer on packs: each row is predicted from exactly the rows of its window before it; what counts; it learns."""

import numpy as np
import pytest
import torch
from msgspec import structs
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
from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import Window
from meloctl.model.config import PRESETS
from meloctl.model.meloformer.model import MeloFormer
from meloctl.model.music_transformer.model import MusicTransformer, hidden_width, longest_distance
from meloctl.model.sibling_sizes import meloformer_layer_parameters
from meloctl.rows.vocabulary import ABSENT, FIELDS, PITCH

pytestmark = pytest.mark.usefixtures("one_thread")


def small(**change) -> MusicTransformer:
    torch.manual_seed(0)
    return MusicTransformer(config(**change), V).double().eval()


# who sees whom


@pytest.mark.parametrize("layers", [1, 3])
def test_each_row_is_predicted_from_exactly_the_rows_of_its_window_before_it(layers):
    together = pack()
    first = np.repeat(together.starts[:-1], np.diff(together.starts))
    expected = [set(range(first[i], i)) for i in range(together.n_rows)]
    expected[together.starts[1]] = set()  # not counted
    padding = [set()] * (len(together.rows) - together.n_rows)
    assert visible_rows(small(layers=layers), together) == expected + padding


def test_a_window_costs_the_same_alone_and_in_company():
    model, together = small(), pack()
    nll = model(model.layout(together))
    alone = torch.cat([model(model.layout(pack_of([w]))) for w in windows_of(together)])
    torch.testing.assert_close(nll[: together.n_rows], alone, rtol=1e-6, atol=1e-6)
    assert not nll[together.n_rows :].any()


def test_only_the_number_of_rows_back_matters():
    # in a run of equal rows all that look back on at least one are predicted alike: no index of a row is added
    model = small(layers=1)
    rows = np.repeat(window(1, bars=1).rows[1:2], 40, axis=0)
    nll = model(model.layout(pack_of([Window(rows=rows, first_bar=0)]))).sum(1)
    torch.testing.assert_close(nll[2:], nll[1:2].expand(38))


def test_distance_matters():
    # one note, then a run of another: how far back the odd one lies changes what is predicted, up to the longest distance
    model = small(layers=1)
    with torch.no_grad():
        model.layers[0].distance.mul_(300)
    rows = np.repeat(window(1, bars=1).rows[1:2], 20, axis=0)
    rows[0, PITCH] += 20
    states = model.states(model.layout(pack_of([Window(rows=rows, first_bar=0)])))
    swapped = rows.copy()
    swapped[:2] = swapped[1::-1]
    moved = model.states(model.layout(pack_of([Window(rows=swapped, first_bar=0)])))
    change = (moved - states).abs().amax(1)
    longest = longest_distance(model.config)
    assert longest == 7
    assert (change[3 : longest + 1] > 1e-9).all()
    assert change[longest + 2 :].max() < 1e-12  # both distances share the last embedding


def test_bars_of_the_piece_do_not_matter_but_for_the_first_row():
    model = small()
    at_0, at_9 = (model(model.layout(pack_of([window(4, bars=4, first_bar=bar)]))) for bar in (0, 9))
    assert torch.equal(at_0[1:], at_9[1:])
    assert at_0[0].any()
    assert not at_9[0].any()


# what counts


def test_what_counts():
    together = pack()
    layout = small().layout(together)
    counted = np.arange(len(together.rows)) < together.n_rows
    counted[together.starts[1]] = False
    assert (layout.loss_mask_N.numpy() == counted).all()
    assert (layout.n_rows, layout.n_notes) == (together.n_rows, 3 * (5 + 3 + 2))
    assert layout.rows_NF.dtype == torch.int64


def test_the_loss_is_of_the_fields_of_rows_in_the_loss_mask():
    model, together = small(), pack()
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
    assert (moved.n_rows, moved.n_notes, moved.starts) == (layout.n_rows, layout.n_notes, layout.starts)


# sizes and learning


@pytest.mark.parametrize("preset", PRESETS)
def test_parameters_are_as_many_as_meloformers(preset):
    with torch.device("meta"):
        ours, theirs = MusicTransformer(PRESETS[preset], V), MeloFormer(PRESETS[preset], V, SEED)
    assert abs(n_parameters(ours) / n_parameters(theirs) - 1) < 0.05


@pytest.mark.parametrize("preset", PRESETS)
def test_a_layer_of_meloformer_has_the_computed_size(preset):
    with torch.device("meta"):
        model = MeloFormer(PRESETS[preset], V, SEED)
    assert [n_parameters(layer) for layer in model.layers] == [meloformer_layer_parameters(PRESETS[preset])] * len(
        model.layers
    )


def test_a_context_at_which_it_would_be_larger_is_refused():
    # a layer of MeloFormer holds 442,944; one of this 147,840, 192 for each distance and 576 for each width of its SwiGLU:
    # 1534 distances leave room for a width of 1, one more would make it 443,136
    tiny = PRESETS["tiny"]
    assert hidden_width(structs.replace(tiny, context=4 * 1534)) == 1
    expected = "music-transformer: its layers have at least 1,772,544 parameters, those of a MeloFormer of this size 1,771,776, "
    with pytest.raises(MeloError, match=f"^{expected}.*; give a larger size, or a context of fewer rows than 6,140$"):
        MusicTransformer(structs.replace(tiny, context=4 * 1535), V)


def test_every_parameter_learns():
    assert silent_parameters(small().train(), pack()) == set()


def test_first_weights_follow_the_seed_and_depth():
    one, two = small(layers=8), small(layers=8)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    layer = one.layers[3]
    spreads = [
        x.detach().std().item() for x in (layer.qkv.weight, layer.distance, layer.out.weight, layer.mlp.outer.weight)
    ]
    assert spreads == pytest.approx([0.02, 0.02, 0.02 / 4, 0.02 / 4], rel=0.15)  # 4 is the root of 2 × 8 layers


def test_mixed_precision_is_near():
    model, together = small().float(), pack()
    layout = model.layout(together)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(layout)
    mixed.sum().backward()
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, model(layout), rtol=0.02, atol=0.02)


def test_it_overfits_one_pack():
    torch.manual_seed(0)
    model = MusicTransformer(config(width=64, heads=4, kv_heads=2, hidden=128, field_hidden=32), V).train()
    assert trained_bits(model, to_learn(), steps=300, learning_rate=5e-3) < 0.05
