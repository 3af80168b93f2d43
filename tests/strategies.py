"""Hypothesis strategies that several tests draw from: pieces, masks, and rows with masked bars."""

import numpy as np
from hypothesis import strategies as st

from analysis.piece import Bars, Notes, Part, Piece
from masks.spec import MaskSpec


@st.composite
def pieces(draw, *, ticks_per_quarter: int | None = None) -> Piece:
    """Random pieces: odd and changing signatures, bars cut short, drums, equal programs, notes off any grid."""
    tpq = ticks_per_quarter or draw(st.sampled_from([1, 24, 96, 100, 120, 480, 1024]))
    programs = draw(st.lists(st.tuples(st.sampled_from([0, 0, 33, 52, 127]), st.booleans()), min_size=1, max_size=5))
    signs = st.tuples(st.integers(0, 12 * tpq), st.integers(1, 13), st.sampled_from([1, 2, 4, 8, 16, 32, 64]))
    events = st.tuples(
        st.integers(0, len(programs) - 1),
        st.integers(0, 24 * tpq),
        st.integers(0, 9 * tpq),
        st.integers(0, 127),
        st.integers(1, 127),
    )
    part, onset, duration, pitch, velocity = zip(*draw(st.lists(events, min_size=1, max_size=40)), strict=True)
    used = sorted(set(part))  # every part of a piece that was read has notes
    return Piece(
        parts=tuple(Part(program=programs[i][0], is_drum=programs[i][1]) for i in used),
        notes=Notes.of(onset, duration, pitch, velocity, [used.index(p) for p in part]),
        bars=Bars.of(draw(st.lists(signs, max_size=3)), tpq),
        tempo_tick=np.zeros(1, dtype=np.int64),
        tempo=np.array([draw(st.floats(20, 300))]),
    )


@st.composite
def specs(draw, most=12):
    offsets = st.lists(st.integers(1, most), unique=True, max_size=5).map(sorted)
    near = draw(st.integers(0, 4))
    return MaskSpec(
        same=draw(st.one_of(st.just("full"), offsets.map(tuple))),
        near=near,
        far=tuple(k for k in draw(offsets) if k > near),
        drums=draw(st.sampled_from(["masked", "exempt"])),
        summaries=draw(st.booleans()),
    )


@st.composite
def layouts(draw):
    """(bar, part) of rows in generation order: ragged cells, empty bars, empty parts."""
    cells = draw(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=12))
    rows = sorted((b, p) for b, p, n in cells for _ in range(n))
    return [b for b, _ in rows], [p for _, p in rows]


@st.composite
def infill_layouts(draw):
    """(bar, part, segment) of rows in generation order, the masked bars of some parts last: header rows are part 4, infill
    headers part 5."""
    n_bars = draw(st.integers(1, 6))
    cells = draw(st.lists(st.tuples(st.integers(0, n_bars - 1), st.integers(0, 3), st.integers(1, 3)), max_size=12))
    first = draw(st.integers(0, n_bars - 1))
    masked = range(first, draw(st.integers(first, n_bars - 1)) + 1)
    parts = draw(st.sets(st.integers(0, 3), min_size=1))
    rows = [(b, p) for b, p, n in cells for _ in range(n)]
    last = sorted([(b, p) for b, p in rows if b in masked and p in parts] + [(b, -1) for b in masked])
    kept = sorted([(b, p) for b, p in rows if not (b in masked and p in parts)] + [(b, -1) for b in range(n_bars)])
    bar, part = [b for b, _ in kept + last], [4 if p < 0 else p for _, p in kept] + [5 if p < 0 else p for _, p in last]
    return bar, part, [b for b, _ in kept] + [n_bars + b - first for b, _ in last]


def windows_of_rows():
    """(bar, part, segment) of rows; some windows have masked bars."""
    return st.one_of(
        infill_layouts(), layouts().map(lambda rows: ((np.array(rows[0]) - rows[0][0]).tolist(), rows[1], None))
    )
