from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.families import FAMILIES, PROGRAMS_IN_BAR, place_in_bar
from analysis.grid import STEPS_PER_QUARTER, nearest_step
from analysis.piece import Part


@pytest.mark.parametrize(
    ("ticks", "ticks_per_quarter", "steps"),
    [
        ([0, 19, 20, 21, 59, 60, 480], 480, [0, 0, 1, 1, 1, 2, 12]),  # a step of 40 ticks; halves go up
        ([0, 1, 2, 3], 12, [0, 1, 2, 3]),
        ([0, 1, 2], 1, [0, 12, 24]),
        ([4, 5], 100, [0, 1]),  # a step of 8 1/3 ticks
    ],
)
def test_the_nearest_step(ticks, ticks_per_quarter, steps):
    assert nearest_step(np.array(ticks), ticks_per_quarter).tolist() == steps


@given(st.integers(0, 1 << 31), st.integers(1, 32767), st.sampled_from([STEPS_PER_QUARTER, 1, 24, 480]))
def test_no_other_step_is_nearer(tick, ticks_per_quarter, steps):
    near = int(nearest_step(np.array([tick]), ticks_per_quarter, steps_per_quarter=steps)[0])
    away = near - Fraction(tick * steps, ticks_per_quarter)
    assert Fraction(-1, 2) < away <= Fraction(1, 2)


def test_drums_come_first_in_a_bar_then_basses():
    parts = [Part(program=p, is_drum=d) for p, d in ((40, False), (39, False), (0, False), (32, False), (9, True))]
    assert [(p.program, p.is_drum) for p in sorted(parts, key=place_in_bar)] == [
        (9, True),
        (32, False),
        (39, False),
        (0, False),
        (40, False),
    ]
    assert sorted(PROGRAMS_IN_BAR) == list(range(128))
    assert {FAMILIES[p // 8] for p in PROGRAMS_IN_BAR[:8]} == {"bass"}
