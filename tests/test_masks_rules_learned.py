"""Gates read out as a mask: what stayed open is shown, with reasons; files round trip and refuse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from small_masks import LEARNED_GATES, gate_curve, learned_gates

from analysis.errors import MeloError
from masks.mask_picture import draw_gates
from masks.rules.learned import Gate, GateCurve, LearnedGates, learned_mask
from masks.spec import MOST_OFFSET


def test_open_gates_are_shown_with_what_moved():
    spec = learned_mask(LEARNED_GATES)
    assert (spec.same, spec.near, spec.far) == ((6, 12), 2, (5,))
    assert spec.reasons[1] == "Own part: 6 (0.30 → 0.90), 12 (0.40 → 0.50) are shown (open at the start → at the end)."
    assert spec.reasons[2] == "Own part: 4 (0.70 → 0.10) began open and was shut."
    assert "rows 0.390 pass" in spec.reasons[0]  # .07 + .02 own, three times .1 across
    assert spec.same_prior[6] == 0.9
    assert spec.source == {"rule": "learned"}


def test_everything_open_shows_everything():
    spec = learned_mask(learned_gates(gate_curve({1: 0.9, 2: 0.9}, beyond=0.5), gate_curve({1: 0.6}, beyond=0.9)))
    assert (spec.same, spec.near, spec.far) == ("full", MOST_OFFSET, ())
    assert "rows 0.500 pass" in spec.reasons[0]


def test_farther_bars_that_were_never_reached_are_not_shown():
    short = gate_curve({1: 0.9, 2: 0.9}, beyond=0.9, beyond_density=0.0)
    spec = learned_mask(learned_gates(short, short))
    assert (spec.same, spec.near, spec.far) == ((1, 2), 2, ())
    assert not any("farther" in r for r in spec.reasons)


def test_gates_that_hardly_moved_are_reported():
    still = gate_curve({1: 0.39, 4: 0.75}, prior={1: 0.3, 4: 0.7})
    assert learned_mask(learned_gates(still, still)).reasons[1].startswith("Careful: no gate moved by more than 0.09.")
    assert not any("Careful" in r for r in learned_mask(LEARNED_GATES).reasons)


def test_far_bars_cannot_be_shown_alone_and_it_says_so():
    spec = learned_mask(learned_gates(gate_curve({1: 0.9, 2: 0.1}, beyond=0.8), gate_curve({1: 0.1})))
    assert spec.same == (1,)
    assert any("farther bars ended 0.80 open" in r for r in spec.reasons)
    assert "Other parts: no offset is shown (open at the start → at the end)." in spec.reasons


def test_a_gate_that_was_never_used_is_not_shown():
    spec = learned_mask(learned_gates(gate_curve({1: 0.9, 2: 0.9}, density={2: 0.0}), gate_curve({1: 0.1})))
    assert spec.same == (1,)
    assert "Own part: 2 hidden: no pair of rows in training passed those gates." in spec.reasons


shares = st.floats(0, 1)
any_gate = st.builds(Gate, prior=shares, learned=shares, density=shares)
curves = st.builds(
    GateCurve,
    offsets=st.lists(any_gate, min_size=1, max_size=6).map(lambda made: dict(enumerate(made, 1))),
    beyond=any_gate,
)
any_gates = st.builds(
    LearnedGates, same=curves, cross=curves, drums=st.sampled_from(["masked", "exempt"]), summaries=st.booleans()
)


@given(any_gates)
def test_gates_round_trip_and_give_a_mask_that_shows_what_is_open(made):
    assert LearnedGates.from_json(made.to_json()) == made
    spec = learned_mask(made)
    for relation, c in (("same", made.same), ("cross", made.cross)):
        for k in c.offsets:
            assert spec.sees(relation, k) == (k in c.shown)
        assert spec.sees(relation, len(c.offsets) + 1) == c.all_open


GATE = {"prior": 0, "learned": 0, "density": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "not a file of gates .*make one with: meloctl train --gates"),
        ({"format": "meloctl.gates/1"}, "another version of meloctl"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"drums": "loud"}, "drums is 'loud'"),
        ({"summaries": 1}, "true or false"),
        ({"same": {}}, "same: no 'offsets' in it"),
        ({"same": []}, "same is .* it must be an object"),
        ({"same": {"offsets": {}, "beyond": GATE}}, "gates 1 to n"),
        (
            {"same": {"offsets": {"1": 1}, "beyond": GATE}},
            r"same.offsets\['1'\] is 1; it must be an object with prior",
        ),
        ({"same": {"offsets": {"1": GATE, "3": GATE}, "beyond": GATE}}, "gates 1 to n"),
        ({"same": {"offsets": {"1": {**GATE, "work": 0}}, "beyond": GATE}}, "unknown key 'work'"),
        ({"cross": {"offsets": {"1": GATE, "01": GATE}, "beyond": GATE}}, "its key '01'"),
        ({"cross": {"offsets": {"0": GATE, "1": GATE}, "beyond": GATE}}, "its key '0'"),
        ({"cross": {"offsets": {"1": GATE}, "beyond": {**GATE, "learned": 2}}}, "cross.beyond.learned is 2"),
        ({"cross": {"offsets": {"1": {**GATE, "prior": True}}, "beyond": GATE}}, "prior is True"),
        ({"cross": {"offsets": {"1": {**GATE, "prior": float("nan")}}, "beyond": GATE}}, "prior is nan"),
        (
            {"cross": {"offsets": {str(k): GATE for k in range(1, 66)}, "beyond": GATE}},
            "key '65' must be a whole",
        ),
        ({"cross": {"offsets": {"1": GATE}}}, "no 'beyond' in it"),
    ],
)
def test_damaged_gates_are_refused(change, message):
    with pytest.raises(MeloError, match=message):
        LearnedGates.from_json({**LEARNED_GATES.to_json(), **change})


def test_gates_are_drawn(tmp_path):
    draw_gates(replace(LEARNED_GATES, summaries=False), tmp_path / "gates.png")
    assert (tmp_path / "gates.png").read_bytes()[:4] == b"\x89PNG"
