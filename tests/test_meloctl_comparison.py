"""Runs side by side: equal ones are equal, worse ones are worse, all hear the same rows, turns are fair, words are true."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from train_small import V, fresh, pieces

from meloctl.comparison import forward_timing as timing
from meloctl.comparison.comparison_charts import Mark, colour, interval_chart
from meloctl.comparison.conclusions import clear, marked, pair_in_words, verdict_of
from meloctl.comparison.forward_timing import forward_seconds, sample_packs, times
from meloctl.comparison.held_out_loss import bits_apart, bits_of, common, hear, hear_by_length, lengths_heard, lots
from meloctl.dataset.packs import pack_of
from meloctl.dataset.windows import windows
from meloctl.evaluation.cost import NOTHING, Cost, window_cost
from meloctl.evaluation.intervals import RESAMPLES, draws, ratio_estimates
from meloctl.model.registry import ARCHITECTURES
from meloctl.rows.vocabulary import ABSENT, FIELDS, PITCH, VELOCITY

CONTEXT = 64


def level(model, shares=None):
    """A model whose heads say the same whatever they hear: the logarithms of some shares, or that all values are as likely."""
    for f, head in enumerate(model.heads.heads):
        torch.nn.init.zeros_(head.outer.weight)
        torch.nn.init.zeros_(head.outer.bias)
        if shares is not None:
            head.outer.bias.data.copy_(torch.from_numpy(np.log(shares[f])))
    return model.eval()


def shares_of(some):
    """Of each field, how often it has each value in some pieces, every value once more than it is seen."""
    rows = np.concatenate(some)
    counts = [np.bincount(rows[rows[:, f] != ABSENT, f], minlength=size) + 1.0 for f, size in enumerate(V.sizes)]
    return [count / count.sum() for count in counts]


def cost(bits, notes):
    """A cost of so many bits of pitch."""
    nats = [0.0] * len(FIELDS)
    nats[PITCH] = bits * math.log(2)
    return Cost(nats=tuple(nats), values=(notes,) * len(FIELDS), rows=notes, notes=notes, bars=1, seconds=1.0)


COSTS = st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4), st.integers(1, 500)), min_size=2, max_size=9)


@given(COSTS)
def test_the_order_of_two_runs_flips_the_sign_and_nothing_else(drawn):
    ours, theirs = [cost(a, n) for a, _, n in drawn], [cost(b, n) for _, b, n in drawn]
    weights = lots(len(drawn), 0)
    one, other = bits_apart(ours, theirs, weights).every, bits_apart(theirs, ours, weights).every
    assert one.value == pytest.approx(-other.value, abs=1e-9)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=1e-9)
    apart = bits_of(ours, weights).every.value - bits_of(theirs, weights).every.value
    assert one.value == pytest.approx(apart, abs=1e-7)


@given(COSTS)
def test_a_run_does_not_differ_from_itself(drawn):
    same = [cost(a, n) for a, _, n in drawn]
    told = bits_apart(same, same, lots(len(same), 3)).every
    assert (told.value, told.low, told.high) == (0, 0, 0)


@given(COSTS, st.floats(0.125, 8))
def test_what_costs_so_much_more_a_note_in_every_piece_does_so_for_certain(drawn, more):
    cheap, dear = [cost(a, n) for a, _, n in drawn], [cost(a + more * n, n) for a, _, n in drawn]
    told = bits_apart(dear, cheap, lots(len(drawn), 0)).every
    assert (told.value, told.low, told.high) == pytest.approx((more, more, more), rel=1e-6)
    if max(a / n for a, _, n in drawn) - min(a / n for a, _, n in drawn) > 100:  # alone, they are not so sure
        own = bits_of(dear, lots(len(drawn), 0)).every
        assert own.high - own.low > 0


def test_bits_a_note_are_of_all_pieces_together():
    told = bits_of([cost(30, 10), cost(10, 30)], lots(2, 0))
    assert told.every.value == pytest.approx(40 / 40)  # not (3 + 1/3) / 2
    assert (told.every.low, told.every.high) == pytest.approx((1 / 3, 3))  # one of the two pieces, twice
    assert told.fields["pitch"].value == pytest.approx(1)
    assert told.fields["velocity"].value == 0


def test_one_piece_gives_no_interval():
    told = bits_of([cost(30, 10)], lots(1, 0)).every
    assert told.value == pytest.approx(3)
    assert math.isnan(told.low)
    silent = bits_of([cost(30, 10), cost(5, 0)], lots(2, 0)).every  # the bits of a piece without notes still count
    assert silent.value == pytest.approx(3.5)
    assert math.isnan(silent.high)


def test_ratios_are_weighed_by_size():
    weights = np.array([[2.0, 0.0], [1.0, 1.0]])
    (told,) = ratio_estimates(np.array([[6.0], [1.0]]), np.array([2.0, 5.0]), weights)
    assert told.value == 1
    assert (told.low, told.high) == pytest.approx((1 + 0.025 * 2, 3 - 0.025 * 2))  # between 7 / 7 and 12 / 4
    assert draws(4, np.random.default_rng(0)).shape == (RESAMPLES, 4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_uniform_heads_cost_the_logarithms_of_the_vocabulary(architecture):
    some = pieces(3)
    (costs,) = hear([level(fresh(architecture))], some, CONTEXT)
    told = bits_of(costs, lots(3, 0))
    notes = sum(c.notes for c in costs)
    assert told.fields["pitch"].value == pytest.approx(math.log2(128), rel=1e-5)
    assert told.fields["velocity"].value == pytest.approx(math.log2(V.sizes[VELOCITY]), rel=1e-5)
    bits = sum(math.log2(size) * sum(c.values[f] for c in costs) for f, size in enumerate(V.sizes))
    assert told.every.value == pytest.approx(bits / notes, rel=1e-5)
    assert told.every.value == pytest.approx(sum(e.value for e in told.fields.values()))


def test_all_hear_the_rows_that_count_for_all():
    some = pieces(4)
    dense, halves = level(fresh("dense")), level(fresh("encoder-decoder"))
    alone, together = hear([dense], some, CONTEXT), hear([dense, halves], some, CONTEXT)
    own = [sum((window_cost(halves, w) for w in windows([rows], CONTEXT, V)), start=NOTHING) for rows in some]
    assert together[0] == together[1] == own
    assert sum(c.rows for c in together[0]) < sum(c.rows for c in alone[0])
    assert all(c.notes for c in together[0])
    pack = pack_of(windows(some, CONTEXT, V))
    assert (common([dense, halves])(pack) == halves.loss_mask(pack)).all()
    assert (common([dense])(pack) == dense.loss_mask(pack)).all()


def test_worse_weights_are_worse_by_more_than_the_choice_of_pieces():
    some, held_out = pieces(12), pieces(8, seed=90)
    shares = shares_of(some)
    knows, worse = level(fresh("dense"), shares), level(fresh("dense"), shares)
    torch.manual_seed(0)
    for head in worse.heads.heads:
        head.outer.bias.data += torch.randn_like(head.outer.bias)
    ours, theirs, uniform = hear([knows, worse, level(fresh("dense"))], held_out, CONTEXT)
    weights = lots(len(held_out), 0)
    assert bits_apart(theirs, ours, weights).every.low > 0
    assert bits_apart(ours, uniform, weights).every.high < 0
    assert pair_in_words("B", "A", 0.5, (0.25, 0.75)).startswith("B is worse than A by 0.500 bits")


def test_lengths_are_heard_where_a_piece_is_longer_than_a_window():
    short, long = np.zeros((900, 8)), np.zeros((6000, 8))
    assert lengths_heard([short], 1024) == []
    assert lengths_heard([short], 512) == [1024]
    assert lengths_heard([short, long], 1024) == [1024, 5120, 10240]
    assert lengths_heard([long[:2000]], 1024) == [1024, 5120]
    assert lengths_heard([], 64) == []


def test_a_length_is_one_stretch_of_each_piece():
    some, models = pieces(3), [fresh("dense").eval(), fresh("encoder-decoder").eval()]
    (ours, theirs) = hear_by_length(models, some, [30])[30]
    for mine, other, rows in zip(ours, theirs, some, strict=True):
        (window,) = windows([rows[:30]], 30, V)
        expected = window_cost(models[0], window, counting=models[1].loss_mask)
        assert mine == expected
        assert (mine.rows, mine.notes) == (other.rows, other.notes)
        assert mine.rows < len(window.rows)


class Clock:
    """Time that goes on only while a model works."""

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


def test_runs_take_turns_and_a_slow_round_slows_all(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    packs = [pack_of(windows(pieces(2), CONTEXT, V))]
    heard = []
    rounds = forward_seconds(
        [clock.model("A", 0.002), clock.model("B", 0.006)], packs, half=False, on_round=lambda: heard.append(1)
    )
    assert rounds[:, 0] == pytest.approx(2.0)  # seconds for a thousand rows
    assert rounds[:, 1] == pytest.approx(6.0)
    assert timing.LEAST_ROUNDS <= len(rounds) == len(heard) <= timing.MOST_ROUNDS
    assert "".join(clock.turns[:8]) == "ABABBAAB"  # a turn to warm up; then nobody always goes first
    noise = np.array([[1.0], [7.0], [3.0]])
    ratio, half = times((rounds[:3] * noise)[:, 1], (rounds[:3] * noise)[:, 0])
    assert (ratio, half) == (pytest.approx(3), pytest.approx([3, 3]))


def test_a_slow_model_is_not_timed_for_ever(monkeypatch):
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


def test_a_pair_in_words():
    assert pair_in_words("B", "A", -0.12, (-0.19, -0.05)) == (
        "B is better than A by 0.120 bits a note (95 %: 0.050 to 0.190)"
    )
    assert (
        pair_in_words("B", "A", 0.12, (0.05, 0.19)) == "B is worse than A by 0.120 bits a note (95 %: 0.050 to 0.190)"
    )
    assert pair_in_words("B", "A", -0.01, (-0.05, 0.03)) == (
        "no difference between B and A can be shown (B less A: −0.010 bits a note, 95 %: −0.050 to +0.030)"
    )
    assert "no difference" in pair_in_words("B", "A", 0.0, (0.0, 0.0))
    assert "from one piece no interval can be told" in pair_in_words("B", "A", 0.1, (None, None))


def test_the_best_run_and_those_it_cannot_be_told_from():
    runs = [
        {"letter": letter, "bits": {"test": {"bits_per_note": bits}}, "forward": {"ratio": 2.0}}
        for letter, bits in (("A", 5.0), ("B", 4.0), ("C", 4.1))
    ]
    pairs = [("B", "A", -1.0, [-1.2, -0.8]), ("C", "A", -0.9, [-1.1, -0.7]), ("C", "B", 0.1, [-0.1, 0.3])]
    told = [dict(zip(("of", "to", "difference", "interval"), pair, strict=True)) for pair in pairs]
    facts = {"runs": runs, "heard": {"side": "test"}, "pairs": told, "music": None}
    best, *others, time = verdict_of(facts)
    assert (
        best
        == "B takes the fewest bits a note on test pieces: 4.000; it is better than A, but no difference to C can be shown."
    )
    assert others[1] == "C is better than A by 0.900 bits a note (95 %: 0.700 to 1.100)."
    assert time == "A forward pass takes so many times as long as A's: 2.00 for B, 2.00 for C."
    told[2]["interval"] = [0.05, 0.3]
    assert verdict_of(facts)[0].endswith("4.000; it is better than every other run.")


def test_what_is_marked():
    assert clear((0.1, 0.2))
    assert clear((-0.2, -0.1))
    assert not clear((0.0, 0.2))
    assert not clear((None, None))
    assert marked(0.1, (0.05, 0.2))
    assert not marked(0.0001, (0.00005, 0.0002))  # 0.000 in the table


def test_a_lane_a_run():
    marks = [
        Mark(letter="A", value=3.0, interval=(2.5, 3.5), said="A: 3"),
        Mark(letter="B", value=4.0, interval=None, said="B: 4"),
    ]
    drawn = interval_chart(marks, across="bits a note")
    assert (drawn.count("<circle"), drawn.count('class="reach')) == (2, 1)
    assert "A: 3; B: 4" in drawn
    assert (colour("A"), colour("G")) == ("run run0", "run run0 again")
