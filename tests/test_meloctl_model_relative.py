"""Relative attention: skewing equals the (L, L, D) form in values and gradients, in blocks of any size; nothing later is seen."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_relative import naive_relative_attention

from meloctl.model.music_transformer.relative import by_distance, relative_attention, skew

pytestmark = pytest.mark.usefixtures("one_thread")


def tensors(length, longest, *, heads=3, width=5, seed=0):
    torch.manual_seed(seed)
    sizes = [(heads, length, width)] * 3 + [(heads, longest, width)]
    return [torch.randn(*size, dtype=torch.float64, requires_grad=True) for size in sizes]


def values_and_gradients(function, given):
    out = function(*given)
    torch.manual_seed(1)
    return out, *torch.autograd.grad(out, given, torch.randn_like(out))


def assert_equal(length, longest, block):
    given = tensors(length, longest)
    ours = values_and_gradients(lambda *x: relative_attention(*x, block=block), given)
    for got, wanted in zip(ours, values_and_gradients(naive_relative_attention, given), strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("block", [7, 64, 211])
@pytest.mark.parametrize(
    ("length", "longest"), [(53, 53), (53, 97), (53, 17), (131, 1), (131, 128), (2, 3)]
)  # below, at and above
def test_skewing_equals_the_naive_form(length, longest, block):
    assert_equal(length, longest, block)


@settings(max_examples=40)
@given(st.integers(1, 23), st.integers(1, 29), st.integers(1, 31))
def test_skewing_equals_the_naive_form_for_any_sizes(length, longest, block):
    assert_equal(length, longest, block)


def test_by_hand():
    # One head of width 1, queries 1, keys 0: the logit is e of the distance alone. With e_0 = log 3, e_1 = 0 and no more,
    # the third row weighs its own value 3 times and both earlier ones once: (3·6 + 2 + 1) / 5.
    q, k = torch.ones(1, 3, 1), torch.zeros(1, 3, 1)
    v = torch.tensor([[[1.0], [2.0], [6.0]]])
    e = torch.tensor([[[math.log(3)], [0.0]]])
    assert relative_attention(q, k, v, e).flatten().tolist() == pytest.approx([1.0, 7 / 4, 21 / 5])


def test_skewing_by_hand():
    # The last two of three rows; columns by distance 2, 1, 0. Row 1 has no distance 2: what is left of it is masked later.
    by_distance_QK = torch.tensor([[[-1.0, 11, 10], [22, 21, 20]]])
    first, second = skew(by_distance_QK)[0].tolist()
    assert first[:2] == [11, 10]
    assert second == [22, 21, 20]


def test_distances_beyond_the_last_share_its_embedding():
    q, e = torch.ones(1, 2, 1), torch.tensor([[[5.0], [7.0]]])
    assert by_distance(q, e, 4).tolist() == [[[7, 7, 7, 5]] * 2]
    assert by_distance(q, e, 1).tolist() == [[[5]] * 2]


def test_each_head_has_its_own_embeddings():
    q, k, v, e = tensors(11, 4)
    before = relative_attention(q, k, v, e)
    changed = e.detach().clone()
    changed[1] += torch.arange(4.0)[:, None]  # the same for all distances would change nothing
    moved = (relative_attention(q, k, v, changed) - before).abs().amax(dim=(1, 2))
    assert (moved > 1e-3).tolist() == [False, True, False]


@pytest.mark.parametrize("block", [3, 64])
def test_no_later_row_is_seen(block):
    q, k, v, e = tensors(13, 5)
    out = relative_attention(q, k, v, e, block=block)
    for i in range(13):
        of_q, of_k, of_v = torch.autograd.grad(out[:, i].sum(), (q, k, v), retain_graph=True)
        seen = list(range(i + 1))
        assert of_v.abs().sum(dim=(0, 2)).nonzero()[:, 0].tolist() == seen
        assert of_q.abs().sum(dim=(0, 2)).nonzero()[:, 0].tolist() == ([i] if i else [])  # one key alone has weight 1
        assert of_k.abs().sum(dim=(0, 2)).nonzero()[:, 0].tolist() == (seen if i else [])


def test_the_same_without_gradients():
    given = tensors(37, 11)
    with torch.no_grad():
        without = relative_attention(*given, block=8)
    assert torch.equal(relative_attention(*given, block=8), without)


def test_what_is_kept_for_the_backward_pass_grows_with_the_length_alone():
    def kept(length):
        given = tensors(length, 16)
        own = {x.untyped_storage().data_ptr() for x in given}
        sizes = {}

        def note(x):
            if x.untyped_storage().data_ptr() not in own:
                sizes[x.untyped_storage().data_ptr()] = x.numel()
            return x

        with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            out = relative_attention(*given, block=16)
        out.sum().backward()
        return sum(sizes.values())

    assert kept(256) <= 2 * kept(128)
    assert kept(256) < 256 * 256
