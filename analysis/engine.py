"""Maps the measures over a corpus and adds up the tables: one piece in memory at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from analysis.corpus import Skipped, group_of, read_files
from analysis.features import pitch_class_sets
from analysis.offsets import OffsetTable, measure_piece


@dataclass(frozen=True, kw_only=True)
class PieceFacts:
    """What is kept of one piece."""

    path: Path
    group: str
    bars: int
    parts: int
    drums: int
    """How many of the parts are drums."""

    notes: int
    seconds: float
    one_beat_bars: bool
    """More than half of the bars last one quarter or less."""

    table: OffsetTable


@dataclass(frozen=True, kw_only=True)
class CorpusFacts:
    """A corpus, measured. Every file is in `pieces` or in `skipped`."""

    pieces: list[PieceFacts] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    table: OffsetTable

    @property
    def duplicates(self) -> list[list[Path]]:
        """Files with exactly the same notes, grouped; only groups of two or more."""
        groups: dict[str, list[Path]] = {}
        for facts in self.pieces:
            groups.setdefault(facts.group, []).append(facts.path)
        return [paths for paths in groups.values() if len(paths) > 1]


def measure_corpus(
    paths: Sequence[Path],
    *,
    meter: tuple[int, int] | None = None,
    on_file: Callable[[], None] = lambda: None,
) -> CorpusFacts:
    """Read and measure files in order; `on_file` is called after each. Nothing readable gives an empty `pieces`."""
    pieces: list[PieceFacts] = []
    skipped: list[Skipped] = []
    total = OffsetTable("pc-jaccard")
    for found in read_files(paths, meter=meter, on_file=on_file):
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        piece = found.piece
        table = measure_piece(pitch_class_sets(piece))
        total += table
        start = piece.bars.start_tick(range(piece.n_bars + 1))
        short = (start[1:] - start[:-1]) <= piece.ticks_per_quarter
        pieces.append(
            PieceFacts(
                path=found.path,
                group=group_of(piece),
                bars=piece.n_bars,
                parts=len(piece.parts),
                drums=sum(p.is_drum for p in piece.parts),
                notes=len(piece.notes),
                seconds=piece.seconds,
                one_beat_bars=bool(short.mean() > 0.5),
                table=table,
            )
        )
    return CorpusFacts(pieces=pieces, skipped=skipped, table=total)
