"""Measures a corpus: the task on each chunk of files, and the tables that the chunks add up to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.arrays import Ints
from analysis.chunked_map import ChunkResult, Workers, map_chunks, read_chunk
from analysis.corpus import printable
from analysis.errors import MeloError
from analysis.midi import read_midi
from analysis.offsets import MOST_PAIRS, OFFSETS, CellBlocks, FamilySums, OffsetSums, count_pairs, measure
from analysis.piece import Piece
from analysis.reading import AS_IT_STANDS, Reading
from analysis.shuffle import chance_sums, shuffled_sums, whole_table
from analysis.similarity import MEASURES, Measure
from analysis.tables import OffsetTable, total_of

METHOD = "meloctl.statistics/2"
"""Names how a corpus is measured; it changes with every change of a number, so that nothing of another method is reused."""

CRASHED = "the reader crashed on it"

MOST_SHUFFLED = 400
"""At most this many pieces are shuffled, a random sample."""

SHUFFLES = 2_000
"""Shuffles in all, spread over those pieces; no piece gets fewer than 8 or more than 999."""


@dataclass(frozen=True, kw_only=True)
class PieceFacts:
    """What is kept of one piece beside its sums."""

    path: str
    """As text, whatever bytes the name has."""

    bars: int
    parts: int
    drums: int
    """How many of the parts are drums."""

    notes: int
    seconds: float
    one_beat_bars: bool
    """More than half of the bars have a signature of one quarter or less."""


@dataclass(frozen=True, kw_only=True)
class MeasureChunk:
    """The task: read each file of a chunk, measure it, shuffle those that were sampled."""

    measures: tuple[str, ...] = tuple(m.name for m in MEASURES)
    reading: Reading = AS_IT_STANDS
    by_family: bool = True
    shuffled: frozenset[int] = frozenset()
    """Numbers of the files that are shuffled."""

    draws: int = 0
    """Shuffles of each of them; 0 leaves chance out too."""

    seed: int = 0

    @staticmethod
    def of(n_files: int, *, reading: Reading = AS_IT_STANDS, seed: int = 0) -> "MeasureChunk":
        """All measures, with families and shuffles, of a corpus of that many files."""
        rng = np.random.default_rng([seed, n_files])
        sampled = rng.choice(n_files, min(n_files, MOST_SHUFFLED), replace=False, shuffle=False)
        draws = min(max(-(-SHUFFLES // max(len(sampled), 1)), 8), 999)
        return MeasureChunk(reading=reading, seed=seed, shuffled=frozenset(sampled.tolist()), draws=draws)

    def __call__(self, first: int, paths: Sequence[str], died: frozenset[int]) -> ChunkResult:
        """Sums of each piece, of the chunk, and of the shuffles; facts of each piece; skipped files with their reasons."""
        kinds = self._kinds()
        names = tuple(m.name for m in kinds)
        total, pieces, skipped = OffsetTable.empty(names, dtype=np.int64), [], []
        found: list[PieceSums] = []
        for number, path in enumerate(map(Path, paths), first):
            try:
                if number in died:
                    raise MeloError(CRASHED)
                piece = read_midi(path, reading=self.reading)
                sums = self.measure_piece(piece, number)
            except MeloError as error:
                skipped.append({"path": printable(path), "reason": str(error)})
                continue
            pieces.append(vars(facts_of(piece, path)))
            found.append(sums)
            for m, (by_offset, by_family) in enumerate(sums.sums):
                total.add_piece(m, by_offset, by_family)
        shape = (len(kinds), 2, OFFSETS)
        shuffled = [i for i, s in enumerate(found) if s.shuffles is not None]
        shuffles = [s.shuffles for s in found if s.shuffles is not None]
        return ChunkResult(
            arrays={
                **total.arrays(),
                "of_piece.pairs": _stack([np.stack([s.pairs for s, _ in f.sums]) for f in found], shape),
                "of_piece.similarity": _stack([np.stack([s.similarity for s, _ in f.sums]) for f in found], shape),
                "of_piece.chance": _stack(
                    [f.chance if f.chance is not None else np.full(shape, -1) for f in found], shape
                ),
                "shuffled.piece": np.array(shuffled, dtype=np.int64),
                "shuffled.pairs": _stack([s[0] for s in shuffles], (self.draws, *shape)),
                "shuffled.similarity": _stack([s[1] for s in shuffles], (self.draws, *shape)),
            },
            facts={"measures": names, "pieces": pieces, "skipped": skipped},
        )

    def measure_piece(self, piece: Piece, number: int) -> "PieceSums":
        """Sums of file number `number` of the corpus. Raises MeloError where they would take too many comparisons."""
        kinds, layouts = self._kinds(), dict[bool, CellBlocks]()
        for drums in {kind.drums for kind in kinds}:
            layouts[drums] = CellBlocks.of(piece, drums=drums, by_family=self.by_family)
            if (pairs := count_pairs(layouts[drums])) > MOST_PAIRS:
                raise MeloError(f"its bars would need {pairs:,} comparisons; at most {MOST_PAIRS:,} are made")
        sums, chance, shuffles = [], list[Ints](), list[tuple[Ints, Ints]]()
        for kind in kinds:
            layout = layouts[kind.drums]
            contents = kind.contents(layout.cells)
            sums.append(measure(layout, contents, kind))
            if not self.draws or (table := whole_table(layout, contents, kind)) is None:
                continue
            chance.append(chance_sums(layout, contents, table))
            if number in self.shuffled:
                rng = np.random.default_rng([self.seed, number])  # the same orders for every measure
                shuffles.append(shuffled_sums(layout, contents, table, draws=self.draws, rng=rng))
        known = len(chance) == len(kinds)
        return PieceSums(
            sums=sums,
            chance=np.stack(chance) if known else None,
            shuffles=(np.stack([p for p, _ in shuffles], axis=1), np.stack([s for _, s in shuffles], axis=1))
            if known and shuffles
            else None,
        )

    def _kinds(self) -> list[Measure]:
        return [m for m in MEASURES if m.name in self.measures]


@dataclass(frozen=True, kw_only=True)
class PieceSums:
    """What is measured of one piece."""

    sums: list[tuple[OffsetSums, FamilySums | None]]
    """Of each measure."""

    chance: Ints | None
    """(M, 2, OFFSETS) similarity by chance; None where it was not asked for, or the piece is too long."""

    shuffles: tuple[Ints, Ints] | None
    """(draws, M, 2, OFFSETS) pairs and similarity; None for a piece that was not sampled."""


@dataclass(frozen=True, kw_only=True)
class MeasuredCorpus:
    """A corpus, measured: its table and totals, and the chunks that hold what belongs to each piece."""

    table: OffsetTable
    chunks: tuple[Path, ...]
    pieces: int
    skipped: int
    shuffled: int
    draws: int
    """Shuffles of each shuffled piece."""

    notes: int
    bars: int
    parts: tuple[int, int]
    """Fewest and most parts of a piece."""

    one_beat_bars: int
    """Pieces with bars of one beat."""

    def each_chunk(self) -> Iterator[ChunkResult]:
        """The chunks in the order of the files, one in memory at a time."""
        return map(read_chunk, self.chunks)

    def each_skipped(self) -> Iterator[dict[str, str]]:
        """Path and reason of each file that was skipped."""
        for chunk in self.each_chunk():
            yield from chunk.facts["skipped"]


def measure_corpus(
    paths: Sequence[str],
    task: MeasureChunk,
    folder: Path,
    *,
    key: str,
    workers: Workers,
    on_files: Callable[[int], None] = lambda _: None,
) -> MeasuredCorpus:
    """Measure files in chunks, as `map_chunks` does it, and add the chunks up. The same bits whoever works."""
    chunks = map_chunks(task, paths, folder, key=key, workers=workers, on_files=on_files, preload="analysis.warm_up")
    skipped = shuffled = notes = bars = pieces = one_beat = 0
    fewest, most = 1 << 30, 0

    def tables() -> Iterator[OffsetTable]:
        nonlocal skipped, shuffled, notes, bars, pieces, one_beat, fewest, most
        for chunk in map(read_chunk, chunks):
            yield OffsetTable.from_arrays(task.measures, chunk.arrays)
            skipped += len(chunk.facts["skipped"])
            shuffled += len(chunk.arrays["shuffled.piece"])
            for p in chunk.facts["pieces"]:
                pieces, notes, bars = pieces + 1, notes + p["notes"], bars + p["bars"]
                fewest, most = min(fewest, p["parts"]), max(most, p["parts"])
                one_beat += p["one_beat_bars"]

    total = total_of(task.measures, tables())
    return MeasuredCorpus(
        table=total,
        chunks=tuple(chunks),
        pieces=pieces,
        skipped=skipped,
        shuffled=shuffled,
        draws=task.draws,
        notes=notes,
        bars=bars,
        parts=(min(fewest, most), most),
        one_beat_bars=one_beat,
    )


def facts_of(piece: Piece, path: Path) -> PieceFacts:
    """Facts of a piece that was read from `path`."""
    bars, one_beat = piece.bars, 0
    if (short := 4 * bars.numerator <= bars.denominator).any():
        bars_of_signature = np.diff(np.minimum(np.append(bars.first_bar, piece.n_bars), piece.n_bars))
        one_beat = int(bars_of_signature[short].sum())
    return PieceFacts(
        path=printable(path),
        bars=piece.n_bars,
        parts=len(piece.parts),
        drums=sum(p.is_drum for p in piece.parts),
        notes=len(piece.notes),
        seconds=piece.seconds,
        one_beat_bars=2 * one_beat > piece.n_bars,
    )


def _stack(arrays: list[Any], shape: tuple[int, ...]) -> Ints:
    return np.stack(arrays) if arrays else np.zeros((0, *shape), dtype=np.int64)
