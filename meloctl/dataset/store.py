"""A corpus as rows, made once: one safetensors file for the rows, one JSON file for what they are.

Letters: N rows of P pieces, L rows of one piece, F fields.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta

from analysis.arrays import Ints
from analysis.atomic_write import atomic_write_text
from analysis.corpus import SkippedFile, group_of, merged_groups, read_files, split_groups
from analysis.errors import MeloError
from analysis.json_spec import JsonSpec
from analysis.near_duplicates import Sketch, clusters, near_duplicates, sketch
from analysis.reading import AS_IT_STANDS, Reading
from meloctl.dataset.row_file import map_rows, write_rows
from meloctl.rows.codec import GridLoss, Rows, encode
from meloctl.rows.grammar import FIELDS_OF, ORDER
from meloctl.rows.vocabulary import (
    ABSENT,
    FIELDS,
    INSTRUMENT,
    POSITION,
    TIME_SIGNATURE,
    Vocabulary,
    default_vocabulary,
)

FORMAT = "meloctl.shard/3"
"""In shards of the first format near-duplicates of one song could be on two sides of the split."""

_MAX_NOTES = 1 << 53
"""Up to here every whole number is exact in any JSON reader."""


class _ShardInfo(JsonSpec, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="format", tag=FORMAT):
    """The JSON of a shard."""

    noun: ClassVar = "row shard"

    split: tuple[Literal["train", "validation", "test"], ...]
    loss: dict[str, Annotated[int, Meta(ge=0, le=_MAX_NOTES)]]
    """Counts of a `GridLoss`."""

    def __post_init__(self) -> None:
        if set(self.loss) != set(vars(GridLoss())) or self.loss["notes"] < 1:
            raise MeloError("not the counts of a grid")
        if max(self.loss.values()) > self.loss["notes"]:
            raise MeloError("counts of more notes than there are")


@dataclass(frozen=True, kw_only=True, eq=False)
class Shard:
    """The rows of many pieces, end to end."""

    rows: Rows
    """(N, F) rows of all pieces, memory-mapped."""

    first: Ints
    """(P + 1,) where each piece starts; the last entry is N."""

    split: tuple[str, ...]
    """(P,) "train", "validation" or "test"."""

    loss: GridLoss
    """Notes that the grid moved, resized or merged."""

    vocabulary: Vocabulary
    """Of the rows' values."""

    path: Path
    """The file of the rows. It may have been changed, so each piece is checked when it is read."""

    def __len__(self) -> int:
        return len(self.split)

    def piece(self, index: int) -> Rows:
        """(L, F) rows of one piece, a view. Raises MeloError where they are not a piece by the grammar."""
        rows = self.rows[self.first[index] : self.first[index + 1]]
        if not is_piece(rows, self.vocabulary):
            raise _damaged(self.path)
        return rows

    def of_split(self, split: str) -> list[Rows]:
        """The pieces of one side of the split, views. Raises MeloError as `piece` does."""
        return [self.piece(i) for i, s in enumerate(self.split) if s == split]


@dataclass(kw_only=True)
class _Seen:
    """Names, sketches and grid loss of the pieces that were encoded."""

    names: list[str] = field(default_factory=list)
    sketches: list[Sketch] = field(default_factory=list)
    loss: GridLoss = field(default_factory=GridLoss)

    def split(self) -> tuple[str, ...]:
        """(P,) side of each piece. Near-duplicates are of one group, and so of one side; see `analysis.corpus.merged_groups`."""
        cluster = clusters(near_duplicates(self.sketches), self.names).tolist()
        keys = [s.key or name for s, name in zip(self.sketches, self.names, strict=True)]
        return tuple(split_groups(merged_groups(keys, cluster)))


def make_shard(
    paths: Sequence[Path],
    vocabulary: Vocabulary,
    stem: Path,
    *,
    reading: Reading = AS_IT_STANDS,
    on_file: Callable[[], None] = lambda: None,
) -> Shard:
    """Encode files as a shard on disk, and open it; rows of one piece are in memory at a time.

    STEM.safetensors is written and then STEM.json, each atomically; a shard without its JSON does not exist. Files that cannot be
    read are left out (`corpus check` lists them with reasons).

    Raises:
        MeloError: nothing could be read.
    """
    seen = _Seen()
    write_rows(stem.with_suffix(".safetensors"), _encoded(paths, vocabulary, reading, on_file, seen))
    info = _ShardInfo.from_json({"format": FORMAT, "split": list(seen.split()), "loss": vars(seen.loss)})
    atomic_write_text(stem.with_suffix(".json"), json.dumps(info.to_json()) + "\n")
    return read_shard(stem)


def read_shard(stem: Path) -> Shard:
    """Open a shard: its rows are memory-mapped, and each piece is checked when it is read.

    Raises:
        MeloError: it is missing or damaged.
    """
    path = stem.with_suffix(".safetensors")
    try:
        info = _ShardInfo.read(stem.with_suffix(".json"), max_bytes=1 << 30)
        rows, first = map_rows(path)
        if len(first) != len(info.split) + 1:
            raise ValueError("a split of other pieces")
        if first[0] != 0 or first[-1] != len(rows) or not (first[:-1] < first[1:]).all():
            raise ValueError("pieces out of order")
    except (MeloError, OSError, ValueError, RecursionError) as error:
        raise _damaged(path) from error
    return Shard(
        rows=rows,
        first=np.array(first),
        split=info.split,
        loss=GridLoss(**info.loss),
        vocabulary=default_vocabulary(),
        path=path,
    )


def is_piece(rows: Rows, vocabulary: Vocabulary) -> bool:
    """Whether (L, F) rows are a piece by the grammar, without infill; `meloctl.rows.grammar.check_rows` says, slowly, what is
    wrong."""
    instrument = rows[:, INSTRUMENT]
    if not len(rows) or instrument[0] != vocabulary.bar or instrument[-1] != vocabulary.end:
        return False
    if np.isin(instrument, (vocabulary.infill_bar, vocabulary.masked_bar)).any():
        return False
    header, end = instrument == vocabulary.bar, instrument == vocabulary.end
    kind = np.where(header, 0, np.where(end, 2, 1))
    low, high = _bounds(vocabulary)
    if end.sum() != 1 or (rows < low.take(kind, axis=0)).any() or (rows > high.take(kind, axis=0)).any():
        return False
    bar = np.cumsum(header) - 1
    steps = np.array(vocabulary.bar_steps)[rows[header, TIME_SIGNATURE]]
    place = (
        bar  # the order of rows in a piece as one number: it ascends strictly, headers being the least of their bars
    )
    for f in ORDER:
        place = place * vocabulary.sizes[f] + np.maximum(rows[:, f], 0)
    return bool((rows[:, POSITION] < steps[bar]).all() and (np.diff(place) > 0).all())


def _bounds(vocabulary: Vocabulary) -> tuple[Rows, Rows]:
    """(3, F) least and greatest value of each field in a header, a note and an end row; ABSENT where it has none."""
    low, high = np.full((2, 3, len(FIELDS)), ABSENT, dtype=np.int16)
    for kind, name in enumerate(("header", "note", "end")):
        having = list(FIELDS_OF[name])
        low[kind, having], high[kind, having] = 0, np.array(vocabulary.sizes)[having] - 1
    return low, high


def _encoded(
    paths: Sequence[Path],
    vocabulary: Vocabulary,
    reading: Reading,
    on_file: Callable[[], None],
    seen: _Seen,
) -> Iterator[Rows]:
    """Rows of each file that can be read; its name, sketch and grid loss are added to `seen`."""
    for found in read_files(paths, reading=reading, on_file=on_file):
        if isinstance(found, SkippedFile):
            continue
        rows, cost = encode(found.piece, vocabulary)
        seen.names.append(group_of(found.piece))
        seen.sketches.append(sketch(found.piece))
        seen.loss += cost
        yield rows
    if not seen.names:
        raise MeloError(
            f"none of the {len(paths)} files could be read; run meloctl corpus check on the folder to see why"
        )


def _damaged(path: Path) -> MeloError:
    return MeloError(f"{path}: a damaged row shard; delete it and the .json beside it, then run again")
