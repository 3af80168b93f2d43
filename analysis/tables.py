"""Tables of similarity by offset over a corpus. Tables of parts of a corpus add up to the same bits in any order."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.arrays import Ints
from analysis.families import FAMILIES
from analysis.offsets import OFFSETS, RELATIONS, UNIT, FamilySums, OffsetSums, Relation

_F = len(FAMILIES)


@dataclass(frozen=True, kw_only=True)
class OffsetRow:
    """One line of a finished table."""

    measure: str
    relation: Relation
    offset: int
    pairs: int
    mean: float
    """Pooled mean over pairs: the founding diary's number."""

    deviation: float
    """Standard deviation over pairs."""

    pieces: int
    piece_mean: float
    """Mean of the pieces' own means: no long piece rules."""


@dataclass(frozen=True, kw_only=True)
class FamilyRow:
    """One line of the breakdown by family. Across parts at offset 0, `later` and `earlier` are one pair in either order."""

    measure: str
    relation: Relation
    offset: int
    later: str
    """Family of the later bar's part."""

    earlier: str
    """Family of the earlier bar's part; within a part the same."""

    pairs: int
    mean: float


@dataclass(frozen=True, kw_only=True, eq=False)
class OffsetTable:
    """Sums by measure (M of them), relation and offset, and by family. Similarities in multiples of 1 / UNIT.

    Whole numbers throughout: int64 for a few pieces, Python's own (dtype object) for any number of them.
    """

    measures: tuple[str, ...]
    pairs: npt.NDArray[Any]
    """(M, 2, OFFSETS)"""

    similarity: npt.NDArray[Any]
    """(M, 2, OFFSETS) sum over pairs."""

    square: npt.NDArray[Any]
    """(M, 2, OFFSETS) sum of squares over pairs."""

    pieces: npt.NDArray[Any]
    """(M, 2, OFFSETS) pieces with a pair."""

    piece_mean: npt.NDArray[Any]
    """(M, 2, OFFSETS) sum over those of the piece's own mean."""

    same_pairs: npt.NDArray[Any]
    """(M, OFFSETS, 17) within a part, by its family."""

    same_similarity: npt.NDArray[Any]

    cross_pairs: npt.NDArray[Any]
    """(M, OFFSETS, 17, 17) across parts, by family of the later and of the earlier bar's part."""

    cross_similarity: npt.NDArray[Any]

    @staticmethod
    def empty(measures: tuple[str, ...], *, dtype: Any = object) -> "OffsetTable":
        """The table of no piece. With the default dtype any number of tables can be added to it."""
        m, flat = len(measures), {"pairs", "similarity", "square", "pieces", "piece_mean"}
        shapes = {
            name: (m, 2, OFFSETS)
            if name in flat
            else (m, OFFSETS, _F)
            if name.startswith("same")
            else (m, OFFSETS, _F, _F)
            for name in _columns()
        }
        return OffsetTable(measures=measures, **{n: np.full(s, 0, dtype=dtype) for n, s in shapes.items()})

    def add_piece(self, m: int, sums: OffsetSums, families: FamilySums | None) -> None:
        """Add one piece's sums of measure number `m`, in place."""
        self.pairs[m] += sums.pairs
        self.similarity[m] += sums.similarity
        self.square[m] += sums.square
        self.pieces[m] += sums.pairs > 0
        self.piece_mean[m] += np.rint(sums.similarity / np.maximum(sums.pairs, 1)).astype(np.int64)
        if families:
            for name, values in vars(families).items():
                total = getattr(self, name)[m]
                total += values

    def __add__(self, other: "OffsetTable") -> "OffsetTable":
        if self.measures != other.measures:
            raise ValueError(f"a table of {self.measures} cannot be added to one of {other.measures}")
        return OffsetTable(measures=self.measures, **{n: getattr(self, n) + getattr(other, n) for n in _columns()})

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, OffsetTable)
            and self.measures == other.measures
            and all(bool((getattr(self, n) == getattr(other, n)).all()) for n in _columns())
        )

    @staticmethod
    def from_arrays(measures: tuple[str, ...], arrays: Mapping[str, Ints]) -> "OffsetTable":
        """The table whose `arrays()` these are, other names among them left alone."""
        return OffsetTable(measures=measures, **{n: arrays[n] for n in _columns()})

    def arrays(self) -> dict[str, Ints]:
        """The columns as int64, by name."""
        return {n: getattr(self, n).astype(np.int64) for n in _columns()}

    def largest(self) -> int:
        """The largest number in any column."""
        return max(int(getattr(self, n).max(initial=0)) for n in _columns())

    def rows(self) -> list[OffsetRow]:
        """Means in reading order: by measure, same 1.., then cross 0...; only those with pairs."""
        return list(self._rows())

    def _rows(self) -> Iterator[OffsetRow]:
        for m, r, k in np.argwhere(self.pairs > 0).tolist():
            pairs, pieces = int(self.pairs[m, r, k]), int(self.pieces[m, r, k])
            mean = int(self.similarity[m, r, k]) / (pairs * UNIT)
            yield OffsetRow(
                measure=self.measures[m],
                relation=RELATIONS[r],
                offset=k,
                pairs=pairs,
                mean=mean,
                deviation=max(int(self.square[m, r, k]) / (pairs * UNIT) - mean**2, 0.0) ** 0.5,
                pieces=pieces,
                piece_mean=int(self.piece_mean[m, r, k]) / (pieces * UNIT),
            )

    def family_rows(self) -> list[FamilyRow]:
        """The breakdown in reading order; only what has pairs. A pair of families at offset 0 comes once."""
        found = []
        for m, name in enumerate(self.measures):
            for k, f in np.argwhere(self.same_pairs[m] > 0).tolist():
                pairs, total = int(self.same_pairs[m, k, f]), int(self.same_similarity[m, k, f])
                found.append(_family_row(name, RELATIONS[0], k, f, f, pairs, total))
            for k, f, g in np.argwhere(self.cross_pairs[m] > 0).tolist():
                if k or f <= g:
                    pairs, total = int(self.cross_pairs[m, k, f, g]), int(self.cross_similarity[m, k, f, g])
                    found.append(_family_row(name, RELATIONS[1], k, f, g, pairs, total))
        return found


def total_of(measures: tuple[str, ...], tables: Iterable[OffsetTable]) -> OffsetTable:
    """The sum of any number of tables of whole numbers below 2^62; they are added as int64 for as long as they fit."""
    total, part = OffsetTable.empty(measures), OffsetTable.empty(measures, dtype=np.int64)
    for table in tables:
        if part.largest() + table.largest() >= 1 << 62:
            total, part = total + part, OffsetTable.empty(measures, dtype=np.int64)
        part = part + table
    return total + part


def _columns() -> list[str]:
    return [f.name for f in fields(OffsetTable) if f.name != "measures"]


def _family_row(measure: str, relation: Relation, k: int, f: int, g: int, pairs: int, total: int) -> FamilyRow:
    return FamilyRow(
        measure=measure,
        relation=relation,
        offset=k,
        later=FAMILIES[f],
        earlier=FAMILIES[g],
        pairs=pairs,
        mean=total / (pairs * UNIT),
    )
