"""Comparing models: paired differences of held-out loss, timing in turns, conclusions in words, charts."""

import math

import numpy as np
import pytest
import torch
from compared_runs import with_constant_heads
from hypothesis import given
from hypothesis import strategies as st
from train_small import V, fresh, pieces

from analysis.intervals import RESAMPLES, ratio_estimates, resample_counts
from meloctl.comparison import forward_timing as timing
from meloctl.comparison.comparison_charts import Mark, interval_chart, run_css
from meloctl.comparison.conclusions import conclusions, is_marked, pair_sentence
from meloctl.comparison.forward_timing import forward_seconds, ratio_over_rounds, sample_packs
from meloctl.comparison.held_out_loss import (
    bits_per_note,
    bits_per_note_difference,
    paired_losses,
    paired_prefix_losses,
    shared_loss_mask,
    useful_prefix_lengths,
)
from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import windows
from meloctl.evaluation.evaluation_text import excludes_zero
from meloctl.evaluation.window_loss import NO_LOSS, LossTotals, window_loss
from meloctl.model.registry import ARCHITECTURES
from meloctl.rows.vocabulary import ABSENT, FIELDS, PITCH, VELOCITY

CONTEXT = 64


def shares_of(some):
    """Of each field, the share of each value in some pieces, each value counted once more than it occurs."""
    rows = np.concatenate(some)
    counts = [np.bincount(rows[rows[:, f] != ABSENT, f], minlength=size) + 1.0 for f, size in enumerate(V.sizes)]
    return [count / count.sum() for count in counts]


def loss(bits, notes):
    """A loss of so many bits, all of pitch."""
    nll = [0.0] * len(FIELDS)
    nll[PITCH] = bits * math.log(2)
    return LossTotals(nll=tuple(nll), values=(notes,) * len(FIELDS), rows=notes, notes=notes, bars=1, seconds=1.0)


def counts(n_pieces, seed=0):
    return resample_counts(n_pieces, np.random.default_rng(seed))


LOSSES = st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4), st.integers(1, 500)), min_size=2, max_size=9)


@given(LOSSES)
def test_swapping_two_runs_flips_the_sign_and_nothing_else(drawn):
    a, b = [loss(bits, n) for bits, _, n in drawn], [loss(bits, n) for _, bits, n in drawn]
    resamples = counts(len(drawn))
    one, other = bits_per_note_difference(a, b, resamples).total, bits_per_note_difference(b, a, resamples).total
    assert one.value == pytest.approx(-other.value, abs=1e-9)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)
    difference = bits_per_note(a, resamples).total.value - bits_per_note(b, resamples).total.value
    assert one.value == pytest.approx(difference, abs=1e-7)


@given(LOSSES)
def test_a_run_does_not_differ_from_itself(drawn):
    same = [loss(a, n) for a, _, n in drawn]
    found = bits_per_note_difference(same, same, counts(len(same), 3)).total
    assert (found.value, found.low, found.high) == (0, 0, 0)


@given(LOSSES, st.floats(0.125, 8))
def test_a_constant_difference_a_note_has_an_interval_of_no_width(drawn, more):
    low, high = [loss(a, n) for a, _, n in drawn], [loss(a + more * n, n) for a, _, n in drawn]
    found = bits_per_note_difference(high, low, counts(len(drawn))).total
    assert (found.value, found.low, found.high) == pytest.approx((more, more, more), rel=1e-6)
    if max(a / n for a, _, n in drawn) - min(a / n for a, _, n in drawn) > 100:  # a run alone has a wider one
        own = bits_per_note(high, counts(len(drawn))).total
        assert own.high - own.low > 0


def test_bits_a_note_are_of_all_pieces_together():
    found = bits_per_note([loss(30, 10), loss(10, 30)], counts(2))
    assert found.total.value == pytest.approx(40 / 40)  # not (3 + 1/3) / 2
    assert (found.total.low, found.total.high) == pytest.approx((1 / 3, 3))  # one of the two pieces, twice
    assert found.fields["pitch"].value == pytest.approx(1)
    assert found.fields["velocity"].value == 0


def test_one_piece_gives_no_interval():
    found = bits_per_note([loss(30, 10)], counts(1)).total
    assert found.value == pytest.approx(3)
    assert math.isnan(found.low)
    silent = bits_per_note([loss(30, 10), loss(5, 0)], counts(2)).total  # the bits of a piece without notes still count
    assert silent.value == pytest.approx(3.5)
    assert math.isnan(silent.high)


def test_ratios_are_weighed_by_size():
    resamples = np.array([[2.0, 0.0], [1.0, 1.0]])
    (found,) = ratio_estimates(np.array([[6.0], [1.0]]), np.array([2.0, 5.0]), resamples)
    assert found.value == 1
    assert (found.low, found.high) == pytest.approx((1 + 0.025 * 2, 3 - 0.025 * 2))  # between 7 / 7 and 12 / 4
    assert resample_counts(4, np.random.default_rng(0)).shape == (RESAMPLES, 4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_loss_of_uniform_heads_is_the_logarithm_of_the_number_of_values(architecture):
    some = pieces(3)
    (losses,) = paired_losses([with_constant_heads(fresh(architecture))], some, CONTEXT)
    found = bits_per_note(losses, counts(3))
    notes = sum(c.notes for c in losses)
    assert found.fields["pitch"].value == pytest.approx(math.log2(128), rel=1e-5)
    assert found.fields["velocity"].value == pytest.approx(math.log2(V.sizes[VELOCITY]), rel=1e-5)
    bits = sum(math.log2(size) * sum(c.values[f] for c in losses) for f, size in enumerate(V.sizes))
    assert found.total.value == pytest.approx(bits / notes, rel=1e-5)
    assert found.total.value == pytest.approx(sum(e.value for e in found.fields.values()))


def test_losses_are_of_the_rows_that_all_models_predict():
    some = pieces(4)
    dense, halves = with_constant_heads(fresh("dense")), with_constant_heads(fresh("encoder-decoder"))
    alone, together = paired_losses([dense], some, CONTEXT), paired_losses([dense, halves], some, CONTEXT)
    own = [sum((window_loss(halves, w) for w in windows([rows], CONTEXT, V)), start=NO_LOSS) for rows in some]
    assert together[0] == together[1] == own
    assert sum(c.rows for c in together[0]) < sum(c.rows for c in alone[0])
    assert all(c.notes for c in together[0])
    pack = pack_of(windows(some, CONTEXT, V))
    assert (shared_loss_mask([dense, halves])(pack) == halves.loss_mask(pack)).all()
    assert (shared_loss_mask([dense])(pack) == dense.loss_mask(pack)).all()


def test_noisy_heads_are_worse_by_more_than_the_choice_of_pieces():
    some, held_out = pieces(12), pieces(8, seed=90)
    shares = shares_of(some)
    known, noisy = with_constant_heads(fresh("dense"), shares), with_constant_heads(fresh("dense"), shares)
    torch.manual_seed(0)
    for head in noisy.heads.heads:
        head.outer.bias.data += torch.randn_like(head.outer.bias)
    good, bad, uniform = paired_losses([known, noisy, with_constant_heads(fresh("dense"))], held_out, CONTEXT)
    resamples = counts(len(held_out))
    assert bits_per_note_difference(bad, good, resamples).total.low > 0
    assert bits_per_note_difference(good, uniform, resamples).total.high < 0
    assert pair_sentence("B", "A", 0.5, (0.25, 0.75)).startswith("B is worse than A by 0.500 bits")


def test_prefix_lengths_are_used_where_a_piece_is_longer_than_a_window():
    short, long = np.zeros((900, 8)), np.zeros((6000, 8))
    assert useful_prefix_lengths([short], 1024) == []
    assert useful_prefix_lengths([short], 512) == [1024]
    assert useful_prefix_lengths([short, long], 1024) == [1024, 5120, 10240]
    assert useful_prefix_lengths([long[:2000]], 1024) == [1024, 5120]
    assert useful_prefix_lengths([], 64) == []


def test_a_prefix_is_one_window_of_each_piece():
    some, models = pieces(3), [fresh("dense").eval(), fresh("encoder-decoder").eval()]
    (dense, halves) = paired_prefix_losses(models, some, [30])[30]
    for loss, other, rows in zip(dense, halves, some, strict=True):
        (window,) = windows([rows[:30]], 30, V)
        expected = window_loss(models[0], window, loss_mask=models[1].loss_mask)
        assert loss == expected
        assert (loss.rows, loss.notes) == (other.rows, other.notes)
        assert loss.rows < len(window.rows)


class Clock:
    """A clock that advances only while a model computes."""

    def __init__(self):
        self.now, self.turns = 0.0, []

    def perf_counter(self):
        return self.now

    def model(self, name, seconds):
        clock = self

        class Model:
            def layout(self, pack):
                return pack

            def __call__(self, pack):
                clock.turns.append(name)
                clock.now += seconds * pack.n_rows

        return Model()


def test_models_are_timed_in_turns_and_a_slow_round_slows_all(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    packs = [pack_of(windows(pieces(2), CONTEXT, V))]
    reported = []
    rounds = forward_seconds(
        [clock.model("A", 0.002), clock.model("B", 0.006)], packs, half=False, on_round=lambda: reported.append(1)
    )
    assert rounds[:, 0] == pytest.approx(2.0)  # seconds for a thousand rows
    assert rounds[:, 1] == pytest.approx(6.0)
    assert timing.LEAST_ROUNDS <= len(rounds) == len(reported) <= timing.MOST_ROUNDS
    assert "".join(clock.turns[:8]) == "ABABBAAB"  # a round to warm up; then the order alternates
    noise = np.array([[1.0], [7.0], [3.0]])
    ratio, half = ratio_over_rounds((rounds[:3] * noise)[:, 1], (rounds[:3] * noise)[:, 0])
    assert (ratio, half) == (pytest.approx(3), pytest.approx([3, 3]))


def test_timing_of_a_slow_model_ends(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    packs = [pack_of(windows(pieces(1), CONTEXT, V))]
    assert len(forward_seconds([clock.model("A", 60.0)], packs, half=False)) == timing.LEAST_ROUNDS
    assert len(forward_seconds([clock.model("A", 1e-9)], packs, half=False)) == timing.MOST_ROUNDS


def test_packs_are_those_of_training():
    chosen = windows(pieces(9), CONTEXT, V)
    packs = sample_packs(chosen, CONTEXT)
    assert 1 <= len(packs) <= 2
    assert all(CONTEXT < pack.n_rows <= 2 * CONTEXT for pack in packs)


def test_sentences_about_a_pair():
    assert pair_sentence("B", "A", -0.12, (-0.19, -0.05)) == (
        "B is better than A by 0.120 bits a note (95 %: 0.050 to 0.190)"
    )
    assert (
        pair_sentence("B", "A", 0.12, (0.05, 0.19)) == "B is worse than A by 0.120 bits a note (95 %: 0.050 to 0.190)"
    )
    assert pair_sentence("B", "A", -0.01, (-0.05, 0.03)) == (
        "no difference between B and A can be shown (B less A: −0.010 bits a note, 95 %: −0.050 to +0.030)"
    )
    assert "no difference" in pair_sentence("B", "A", 0.0, (0.0, 0.0))
    assert "one piece gives no interval" in pair_sentence("B", "A", 0.1, (None, None))


def test_the_best_run_and_those_without_a_clear_difference():
    runs = [
        {"letter": letter, "bits": {"test": {"bits_per_note": bits}}, "forward": {"ratio": 2.0}}
        for letter, bits in (("A", 5.0), ("B", 4.0), ("C", 4.1))
    ]
    pairs = [("B", "A", -1.0, [-1.2, -0.8]), ("C", "A", -0.9, [-1.1, -0.7]), ("C", "B", 0.1, [-0.1, 0.3])]
    found = [dict(zip(("run", "baseline", "difference", "interval"), pair, strict=True)) for pair in pairs]
    facts = {"runs": runs, "held_out": {"side": "test"}, "pairs": found, "music": None}
    best, *others, time = conclusions(facts)
    assert (
        best
        == "B takes the fewest bits a note on test pieces: 4.000; it is better than A, but no difference to C can be shown."
    )
    assert others[1] == "C is better than A by 0.900 bits a note (95 %: 0.700 to 1.100)."
    assert time == "Time of a forward pass, as a multiple of A's: 2.00 for B, 2.00 for C."
    found[2]["interval"] = [0.05, 0.3]
    assert conclusions(facts)[0].endswith("4.000; it is better than every other run.")


def test_marks():
    assert excludes_zero((0.1, 0.2))
    assert excludes_zero((-0.2, -0.1))
    assert not excludes_zero((0.0, 0.2))
    assert not excludes_zero((None, None))
    assert is_marked(0.1, (0.05, 0.2))
    assert not is_marked(0.0001, (0.00005, 0.0002))  # 0.000 in the table


def test_a_row_a_run():
    marks = [
        Mark(letter="A", value=3.0, interval=(2.5, 3.5), readout="A: 3"),
        Mark(letter="B", value=4.0, interval=None, readout="B: 4"),
    ]
    drawn = interval_chart(marks, across="bits a note")
    assert (drawn.count("<circle"), drawn.count('class="reach')) == (2, 1)
    assert "A: 3; B: 4" in drawn
    assert (run_css("A"), run_css("G")) == ("run run0", "run run0 again")
