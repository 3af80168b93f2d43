"""Overviews of spectra: the maximum of each column, whatever the chunks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meloctl.transcription import overview
from meloctl.transcription.overview import OverviewBuilder


@given(lengths=st.lists(st.integers(0, 40), max_size=6), seed=st.integers(0, 99))
def test_columns_hold_the_maximum_of_their_frames(lengths, seed):
    frames = np.random.default_rng(seed).random((3, sum(lengths)), dtype=np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overview, "MOST_COLUMNS", 8)
        builder = OverviewBuilder(3, 0.5)
        for start, length in zip(np.cumsum([0, *lengths]), lengths, strict=False):
            builder.add(frames[:, start : start + length])
        found = builder.overview()
    a_column = 1
    while sum(lengths) > 8 * a_column:
        a_column *= 2
    assert found.step_s == 0.5 * a_column
    whole = [frames[:, i : i + a_column].max(axis=1) for i in range(0, sum(lengths), a_column)]
    np.testing.assert_array_equal(found.magnitude, np.array(whole).reshape(-1, 3).T)
