"""Evidence for similarity by offset: intervals over pieces, chance, and a test of every offset for a peak over its neighbours.

- Interval: pieces are drawn with replacement, a thousand times, and the 2.5th and 97.5th percentile are taken
  (Efron & Tibshirani 1993, chapter 13).
- Chance: similarity when each part's bars are shuffled by themselves, in the mean over all shuffles (`analysis.shuffle`).
- Peak of offset k in a piece: D(k) = s(k) - (s(k - 1) + s(k + 1)) / 2, s the piece's own means. Its mean over pieces is held
  against the same mean of corpora in which each piece's whole bars are shuffled, or stay as they are. p is corrected for the
  number of offsets by the largest standardised D over all of them (Westfall & Young 1993, section 2.5).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from analysis.arrays import Floats, Ints
from analysis.chunked_map import ChunkResult
from analysis.measure_corpus import MeasuredCorpus
from analysis.offsets import RELATIONS, UNIT, Relation

LEVEL = 0.01
"""A peak counts as real at this p or below: of a hundred corpora without any, about one shows one."""

LEAST_PEAK = 0.005
"""A peak that is lower than this is none, however certain: it is too small to be audible."""

_RESAMPLES, _CHANCES = 1_000, 1_999
_PERCENT = (2.5, 97.5)


@dataclass(frozen=True, kw_only=True)
class Peak:
    """One offset of one curve, held against its neighbours."""

    measure: str
    relation: Relation
    offset: int
    pieces: int
    height: float
    """Mean over pieces of D(k)."""

    interval: tuple[float, float]
    """95 % over pieces."""

    effect: float
    """Height in standard deviations of D(k) over pieces; 0 where there is one piece or no spread."""

    p: float
    """Chance of a peak as certain anywhere in the curve, were the order of bars without meaning."""

    @property
    def real(self) -> bool:
        """Certain enough, high enough, and not carried by a few pieces."""
        return self.p <= LEVEL and self.height >= LEAST_PEAK and self.interval[0] > 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What speaks for the numbers of a table. Arrays by measure, relation and offset; NaN where nothing was measured."""

    measures: tuple[str, ...]
    mean_interval: Floats
    """(2, M, 2, OFFSETS) low and high of the mean over all pairs."""

    piece_interval: Floats
    """(2, M, 2, OFFSETS) the same of the mean of piece means."""

    chance: Floats
    """(M, 2, OFFSETS) mean over all pairs by chance."""

    chance_interval: Floats
    """(2, M, 2, OFFSETS) low and high, over pieces."""

    peaks: tuple[Peak, ...]
    """Of each curve, offsets 2 to 31."""

    pieces: int
    shuffled: int
    """Pieces that were shuffled."""

    draws: int
    """Shuffles of each."""

    def period(self, measure: str, relation: str) -> int | None:
        """The period of a curve in bars, or None: see `period_of`."""
        return period_of([p for p in self.peaks if (p.measure, p.relation) == (measure, relation)])


def period_of(peaks: list[Peak]) -> int | None:
    """The smallest offset with a real peak that is at least half as high as the highest at its multiples up to 16 bars.

    Twice a period is a period too, hence the smallest. A ripple below a greater pulse is none, hence the half: where every
    second bar is a little more alike and every fourth much more, the period is 4. Beyond 16 bars the few bars that are left
    to compare are the repeats of whole sections, which say nothing against a shorter period. Twice a period must not be a
    trough: two parts that answer each other bar by bar are alike at 1, 3, 5 … back, which is no period of 3.
    """
    height = {p.offset: p.height for p in peaks}
    real = {p.offset: p.height for p in peaks if p.real}
    for offset, here in sorted(real.items()):
        multiples = range(2 * offset, 17, offset)
        if 2 * offset not in height and offset > min(real):
            break  # nothing so far away can tell a period from what stands nearer
        if height.get(2 * offset, 0.0) >= 0 and all(2 * here >= real.get(k, 0.0) for k in multiples):
            return offset
    return None


def evidence_of(measured: MeasuredCorpus, *, seed: int = 0) -> Evidence:
    """Evidence for a measured corpus, in one pass over its chunks for the intervals and one for chance."""
    with threadpool_limits(1):  # the same bits on any number of cores
        means, piece_means, heights, chance, deviation, counts = _intervals(measured, seed)
        p = _p_values(measured, seed)
    measures = measured.table.measures
    peaks = tuple(
        Peak(
            measure=measures[m],
            relation=RELATIONS[r],
            offset=k,
            pieces=int(counts[m, r, k]),
            height=float(heights[0, m, r, k]),
            interval=(float(heights[1, m, r, k]), float(heights[2, m, r, k])),
            effect=float(heights[0, m, r, k] / deviation[m, r, k]) if deviation[m, r, k] > 0 else 0.0,
            p=float(p[m, r, k]),
        )
        for m, r, k in np.argwhere(counts > 0).tolist()
    )
    return Evidence(
        measures=measures,
        mean_interval=means,
        piece_interval=piece_means,
        chance=chance[0],
        chance_interval=chance[1:],
        peaks=peaks,
        pieces=measured.pieces,
        shuffled=measured.shuffled,
        draws=measured.draws,
    )


def peak_heights(pairs: Ints, similarity: Ints) -> Floats:
    """Height of each offset's similarity over the mean of its two neighbours' ("D(k)"), piece by piece.

    Args:
        pairs: (…, OFFSETS) pairs of cells.
        similarity: (…, OFFSETS) sums of their similarities, in multiples of 1 / UNIT.

    Returns:
        (…, OFFSETS); NaN where one of the three offsets was not measured.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        s = np.where(pairs > 0, similarity / (pairs * float(UNIT)), np.nan)
    d = np.full(s.shape, np.nan)
    d[..., 1:-1] = s[..., 1:-1] - (s[..., :-2] + s[..., 2:]) / 2
    d[..., :2] = np.nan  # offset 1 has no neighbour that is not the bar itself, or the bar's own harmony
    return d


def _intervals(measured: MeasuredCorpus, seed: int) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
    """Intervals of both means; value and interval of each D(k), and of chance; deviation of D(k) and its number of pieces."""
    rng = np.random.default_rng([seed, 1])
    shape = measured.table.pairs.shape
    resampled = np.zeros((_RESAMPLES, 8, *shape))
    exact = np.zeros((3, *shape))  # of D(k): number, sum, sum of squares
    all_chance = np.zeros((2, *shape))
    for weights, chunk in _resampled(measured, rng):
        pairs, similarity = chunk.arrays["of_piece.pairs"], chunk.arrays["of_piece.similarity"]
        chance = chunk.arrays["of_piece.chance"]
        d = peak_heights(pairs, similarity)
        known, d = np.isfinite(d), np.nan_to_num(d)
        exact += np.stack([known.sum(axis=0), d.sum(axis=0), (d * d).sum(axis=0)])
        by_chance = np.stack([np.where(chance >= 0, pairs, 0), np.maximum(chance, 0) / UNIT], axis=1)
        all_chance += by_chance.sum(axis=0)
        means = [pairs, similarity / UNIT, pairs > 0, similarity / UNIT / np.maximum(pairs, 1), known, d]
        columns = np.concatenate([np.stack(means, axis=1), by_chance], axis=1)
        resampled += (weights @ columns.reshape(len(pairs), -1)).reshape(resampled.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_mean, of_piece_mean, of_height, of_chance = (
            _percentiles(resampled[:, i + 1] / resampled[:, i]) for i in (0, 2, 4, 6)
        )
        n, height = exact[0], exact[1] / exact[0]
        deviation = np.where(n > 1, np.sqrt(np.maximum(exact[2] - n * height**2, 0) / (n - 1)), 0.0)
        chance_mean = all_chance[1] / all_chance[0]
    heights, chances = np.concatenate([height[None], of_height]), np.concatenate([chance_mean[None], of_chance])
    return of_mean, of_piece_mean, heights, chances, deviation, n


def _resampled(measured: MeasuredCorpus, rng: np.random.Generator) -> Iterator[tuple[Floats, ChunkResult]]:
    """Chunk by chunk, how often each resample holds each piece: draws with replacement from the whole corpus."""
    left = np.full(_RESAMPLES, measured.pieces)
    pieces_left = measured.pieces
    for chunk in measured.each_chunk():
        here = len(chunk.arrays["of_piece.pairs"])
        if not here:
            continue
        drawn = rng.binomial(left, here / pieces_left) if here < pieces_left else left
        yield rng.multinomial(drawn, np.full(here, 1 / here)).astype(np.float64), chunk
        left, pieces_left = left - drawn, pieces_left - here


def _p_values(measured: MeasuredCorpus, seed: int) -> Floats:
    """p of each D(k), from corpora that take one order of each shuffled piece: a shuffle, or its own.

    Its own must be among them: with a few shuffles a piece, the centre and the spread of chance would else be those of
    these few alone, and p too small (2 to 4 % of corpora would show a peak at a level of 1 %).
    """
    rng = np.random.default_rng([seed, 2])
    shape = measured.table.pairs.shape
    chance = np.zeros((2, _CHANCES, *shape))  # pieces that have D(k), and its sum over them
    observed = np.zeros((2, *shape))
    for chunk in measured.each_chunk():
        arrays = chunk.arrays
        whose = arrays["shuffled.piece"].tolist()
        for i, pairs, similarity in zip(whose, arrays["shuffled.pairs"], arrays["shuffled.similarity"], strict=True):
            d = peak_heights(arrays["of_piece.pairs"][i], arrays["of_piece.similarity"][i])
            observed += np.stack([np.isfinite(d), np.nan_to_num(d)])
            d = np.concatenate([peak_heights(pairs, similarity), d[None]])  # its own order is one of all that could be
            drawn = rng.integers(0, len(d), _CHANCES)
            chance += np.stack([np.isfinite(d), np.nan_to_num(d)])[:, drawn]
    with np.errstate(invalid="ignore", divide="ignore"):
        return _corrected_p(observed[1] / observed[0], chance[1] / chance[0])


def _corrected_p(observed: Floats, chance: Floats) -> Floats:
    """p of each offset against the largest standardised height anywhere in its curve, in each corpus of shuffles."""
    measured = np.isfinite(observed) & np.isfinite(chance).all(axis=0)
    chance = np.where(measured, chance, 0.0)
    centre, spread = chance.mean(axis=0), chance.std(axis=0)
    usable = measured & (spread > 0)
    spread = np.where(usable, spread, 1.0)
    z = np.where(usable, (np.where(measured, observed, 0.0) - centre) / spread, -np.inf)
    largest = np.where(usable, (chance - centre) / spread, -np.inf).max(axis=-1, keepdims=True)
    p = (1 + (largest >= z).sum(axis=0)) / (1 + len(chance))
    return np.asarray(np.where(np.isfinite(observed), p, np.nan))


def _percentiles(values: Floats) -> Floats:
    """(2, …) low and high over the first axis; NaN where nothing was measured in some resample."""
    return np.percentile(values, _PERCENT, axis=0)
