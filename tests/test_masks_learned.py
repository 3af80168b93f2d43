"""Gates read out as a mask: what stayed open is shown, with reasons; files round trip and refuse."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import MeloError
from masks.learned import GateCurve, LearnedGates, learned_mask
from masks.picture import draw_gates
from masks.spec import MOST_OFFSET


def curve(learned, *, prior=None, work=None, beyond=0.0):
    return GateCurve(
        prior=prior or dict.fromkeys(learned, 0.3),
        learned=learned,
        work=work or dict.fromkeys(learned, 0.1),
        beyond=beyond,
    )


def gates(same, cross, **change):
    return LearnedGates(**{"same": same, "cross": cross, "drums": "masked", "summaries": True, **change})


SIX = gates(
    curve(
        {1: 0.2, 4: 0.1, 6: 0.9, 12: 0.5},
        prior={1: 0.3, 4: 0.7, 6: 0.3, 12: 0.4},
        work={1: 0.1, 4: 0.1, 6: 0.07, 12: 0.02},
    ),
    curve({1: 0.8, 2: 0.6, 3: 0.1, 5: 0.7}),
)


def test_open_gates_are_shown_with_what_moved():
    spec = learned_mask(SIX)
    assert (spec.same, spec.near, spec.far) == ((6, 12), 2, (5,))
    assert spec.reasons[1] == "Own part: 6 (0.30 → 0.90), 12 (0.40 → 0.50) are shown (open at the start → at the end)."
    assert spec.reasons[2] == "Own part: 4 (0.70 → 0.10) began open and was shut."
    assert "hold 0.390 of dense" in spec.reasons[0]  # .07 + .02 own, three times .1 across
    assert spec.same_prior[6] == 0.9
    assert spec.source == {"rule": "learned"}


def test_everything_open_shows_everything():
    spec = learned_mask(gates(curve({1: 0.9, 2: 0.9}, beyond=0.5), curve({1: 0.6}, beyond=0.9)))
    assert (spec.same, spec.near, spec.far) == ("full", MOST_OFFSET, ())


def test_gates_that_hardly_moved_are_told():
    still = curve({1: 0.39, 4: 0.75}, prior={1: 0.3, 4: 0.7})
    assert learned_mask(gates(still, still)).reasons[1].startswith("Careful: no gate moved by more than 0.09.")
    assert not any("Careful" in r for r in learned_mask(SIX).reasons)


def test_far_bars_cannot_be_shown_alone_and_it_says_so():
    spec = learned_mask(gates(curve({1: 0.9, 2: 0.1}, beyond=0.8), curve({1: 0.1})))
    assert spec.same == (1,)
    assert any("farther bars ended 0.80 open" in r for r in spec.reasons)
    assert "Other parts: no offset is shown (open at the start → at the end)." in spec.reasons


def test_a_gate_that_was_never_used_is_not_shown():
    spec = learned_mask(gates(curve({1: 0.9, 2: 0.9}, work={1: 0.1, 2: 0.0}, beyond=0.9), curve({1: 0.1})))
    assert spec.same == (1,)
    assert any("Own part: 2 hidden: no training window" in r for r in spec.reasons)


shares = st.floats(0, 1)
curves = st.sets(st.integers(1, 40), min_size=1, max_size=6).flatmap(
    lambda ks: st.builds(
        GateCurve,
        prior=st.fixed_dictionaries(dict.fromkeys(ks, shares)),
        learned=st.fixed_dictionaries(dict.fromkeys(ks, shares)),
        work=st.fixed_dictionaries(dict.fromkeys(ks, shares)),
        beyond=shares,
    )
)
any_gates = st.builds(
    LearnedGates, same=curves, cross=curves, drums=st.sampled_from(["masked", "exempt"]), summaries=st.booleans()
)


@given(any_gates)
def test_gates_round_trip_and_give_a_mask_that_shows_what_is_open(made):
    assert LearnedGates.from_json(made.to_json()) == made
    spec = learned_mask(made)
    for relation, c in (("same", made.same), ("cross", made.cross)):
        for k in c.learned:
            assert spec.sees(relation, k) == (k in c.shown)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "no gates"),
        ({"extra": 1}, "unknown key 'extra'"),
        ({"drums": "loud"}, '"drums" must be'),
        ({"summaries": 1}, "true or false"),
        ({"same": {}}, "same: must hold"),
        ({"same": {**SIX.same.to_json(), "beyond": 2}}, "beyond"),
        ({"same": {**SIX.same.to_json(), "work": {"1": 0.1}}}, "the same offsets"),
        ({"cross": {**SIX.cross.to_json(), "learned": {"-1": 0.1}}}, "'-1'"),
        ({"cross": {**SIX.cross.to_json(), "learned": {"1": float("nan")}}}, "nan is not"),
        ({"cross": {**SIX.cross.to_json(), "learned": []}}, "must be an object"),
    ],
)
def test_damaged_gates_are_refused(change, message):
    with pytest.raises(MeloError, match=message):
        LearnedGates.from_json({**SIX.to_json(), **change})


def test_gates_are_drawn(tmp_path):
    draw_gates(replace(SIX, summaries=False), tmp_path / "gates.png")
    assert (tmp_path / "gates.png").read_bytes()[:4] == b"\x89PNG"
