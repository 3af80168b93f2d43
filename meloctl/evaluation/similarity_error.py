"""Similarity Error: do bars of one set of pieces repeat as those of another do?

L_t is the mean similarity of bars that are t apart, over all such pairs of a set; the error is the mean over t = 1 … 40 of
|L_t - L̂_t| (Museformer, Yu et al., NeurIPS 2022, section 5). A variant is always named; they are not comparable:

- `museformer`: the paper's. Two notes are equal if pitch, duration and onset in the bar are; of the sets N of two bars' notes
  l_ij = |N(i) ∩ N(j)| / |N(i) ∪ N(j)|. Here of each pitched part by itself, as the paper's own figure is of its melody track.
  A pair of which one bar is empty counts as 0; the formula says nothing (0/0) where both are, and such pairs are left out.
- each of `analysis.similarity.MEASURES` in relation `same` or `cross`: in these an empty cell is no cell; pairs of which either
  bar is empty are left out.

Offsets that hardly any pair has are left out (`firm_curves`). Durations and onsets are compared on the grid of 12 steps a
quarter. `analysis.offsets` measures the same up to 32 bars, in whole numbers for a million files; a test holds the two together.

Letters: P parts (pieces, for sets of them), B bars, D different contents, V variants, R resamples.
"""

from collections.abc import Iterator

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.cells import Cells, cells_of
from analysis.features import Contents
from analysis.intervals import RESAMPLES, resample_counts
from analysis.offsets import RELATIONS
from analysis.piece import Piece
from analysis.similarity import MEASURES, NOTE_JACCARD, Measure

T = 40
"""The farthest offset, Museformer's."""

VARIANTS = (("museformer", "same"), *((m.name, relation) for m in MEASURES for relation in RELATIONS))
"""(V of them) the name of the similarity and the relation."""

_BARS = 64
"""Bars that are compared at once with themselves and those before them."""


def curve_sums(piece: Piece) -> tuple[Floats, Floats]:
    """Pairs of bars of one piece, by variant and offset → their number (V, T + 1), the sum of their similarities (V, T + 1).

    Offset 0 has pairs across parts only, each pair of parts once.
    """
    pairs, total = np.zeros((len(VARIANTS), T + 1)), np.zeros((len(VARIANTS), T + 1))
    for kind in MEASURES:
        cells = cells_of(piece, drums=kind.drums)
        if not len(cells):
            continue
        v = VARIANTS.index((kind.name, "same"))
        present = _grid(cells, np.ones(len(cells), dtype=np.int64))
        pairs[v : v + 2] = _pair_counts(present)
        for window_sums in _windows_sums(cells, kind.contents(cells), kind):
            total[v : v + 2] += window_sums
        if kind is NOTE_JACCARD:
            total[0] = total[v]
            pairs[0, 1:] = [
                (present[:, t:] | present[:, : max(present.shape[1] - t, 0)]).sum() for t in range(1, T + 1)
            ]
    return pairs, total


def _grid(cells: Cells, values: Ints) -> Ints:
    """(P, B) the value of each cell, 0 where there is none."""
    grid = np.zeros((cells.n_parts, cells.n_bars), dtype=np.int64)
    grid[cells.part, cells.bar] = values
    return grid


def _pair_counts(present: Ints) -> Floats:
    """(2, T + 1) pairs of cells by relation and offset, from the grid (P, B) of cells, 1 where there is one."""
    in_bar, bars = present.sum(axis=0), present.shape[1]
    out = np.zeros((2, T + 1))
    for t in range(1, min(T, bars - 1) + 1):
        out[0, t] = (present[:, t:] * present[:, : bars - t]).sum()
        out[1, t] = in_bar[t:] @ in_bar[: bars - t] - out[0, t]
    out[1, 0] = (in_bar @ in_bar - in_bar.sum()) / 2
    return out


def _windows_sums(cells: Cells, contents: Contents, kind: Measure) -> Iterator[Floats]:
    """(2, T + 1) sums of similarity by relation and offset, of one window of bars after the other."""
    code = _grid(cells, contents.of_cell + 1)
    for start in range(0, cells.n_bars, _BARS):
        before = min(T, start)
        window = code[:, start - before : start + _BARS]
        used = np.unique(window[window > 0])
        if len(used):
            items = contents.items[used - 1]
            table = np.zeros((len(used) + 1, len(used) + 1))  # 0 is silence, similar to nothing
            table[1:, 1:] = kind.similarity(items, items)
            yield _window_sums(np.where(window > 0, np.searchsorted(used, window) + 1, 0), table, before)


def _window_sums(code: Ints, table: Floats, before: int) -> Floats:
    """(2, T + 1) sums over the pairs whose later bar comes after the first `before` bars of a window.

    Args:
        code: (P, bars of the window) index into the table, 0 for an empty cell.
        table: (D + 1, D + 1) similarities.
    """
    parts, bars = code.shape
    counts = np.zeros((bars, len(table)))
    np.add.at(counts, (np.broadcast_to(np.arange(bars), (parts, bars)), code), 1)
    everything = counts[before:] @ table @ counts.T  # all parts of one bar with all of another
    out = np.zeros((2, T + 1))
    for t in range(min(T, bars - 1) + 1):
        first = max(before, t)
        own = table[code[:, first:], code[:, first - t : bars - t]].sum()
        across = np.trace(everything, offset=before - t) - own
        out[:, t] = (own, across) if t else (0.0, across / 2)
    return out


def mean_curves(pairs: Floats, total: Floats) -> Floats:
    """L_t: the mean similarity over all pairs, NaN where there is none → (…).

    Args:
        pairs: (…) number of pairs, summed over pieces.
        total: (…) sum of their similarities.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(pairs > 0, total / pairs, np.nan)


def firm_curves(pairs: Floats, total: Floats) -> Floats:
    """L_t as in `mean_curves`, NaN also at offsets with less than a tenth of the most pairs of an offset ≥ 1 → (…, T + 1).

    Rare offsets come from a few long pieces. The paper's songs are all long enough; the mask rules leave out the same.

    Args:
        pairs: (…, T + 1) number of pairs, summed over pieces.
        total: (…, T + 1) sum of their similarities.
    """
    firm = pairs >= pairs[..., 1:].max(axis=-1, keepdims=True) / 10
    return np.where(firm, mean_curves(pairs, total), np.nan)


def similarity_error(curve: Floats, reference: Floats) -> Floats:
    """Mean over t of |L_t - L̂_t|, over those t ≥ 1 up to T that both curves have; NaN where there is none.

    Args:
        curve: (…, T + 1) L_t, from `firm_curves`.
        reference: (…, T + 1) L̂_t of the reference.

    Returns:
        (…) 0 for equal curves.
    """
    distance = np.abs(curve - reference)[..., 1:]
    finite = np.isfinite(distance)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(finite, distance, 0.0).sum(axis=-1) / finite.sum(axis=-1))


def error_of_real(pairs: Floats, total: Floats, pieces: int, random: np.random.Generator) -> Floats:
    """Similarity Error of random pieces of the reference against random pieces of the reference → (R, V).

    An error means something only where it is larger than the choice of pieces explains.

    Args:
        pairs: (P, V, T + 1) number of pairs of bars of each piece of the reference.
        total: (P, V, T + 1) sum of their similarities.
        pieces: how many pieces are compared with the reference.
        random: draws the pieces.
    """
    columns = np.stack([pairs, total], axis=1).reshape(len(pairs), -1)
    counts = [
        random.multinomial(pieces, np.full(len(pairs), 1 / len(pairs)), RESAMPLES),
        resample_counts(len(pairs), random),
    ]
    sums = [(np.asarray(w, dtype=np.float64) @ columns).reshape(RESAMPLES, 2, *pairs.shape[1:]) for w in counts]
    return similarity_error(*(firm_curves(s[:, 0], s[:, 1]) for s in sums))
