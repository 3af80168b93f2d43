"""A corpus as rows, made once: one safetensors file for the rows, one JSON file for what they are.

Letters: N rows of P pieces, L rows of one piece.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from analysis.arrays import Ints
from analysis.atomic_write import atomic_write_text
from analysis.corpus import SkippedFile, group_of, merged_groups, read_files, split_groups
from analysis.errors import MeloError
from analysis.json_file import read_json
from analysis.near_duplicates import Sketch, clusters, near_duplicates, sketch
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

FORMAT = "meloctl.shard/2"
"""In shards of the first format near copies of one song could lie on two sides of the split."""

_MOST_NOTES = 1 << 53
"""Up to here every whole number is exact, whoever reads the JSON."""

SIDES = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class Shard:
    """The rows of many pieces, end to end."""

    rows: Rows
    """(N, 8) every row of every piece, on disk until they are looked at."""

    first: Ints
    """(P + 1,) where each piece starts; the last entry is N."""

    split: tuple[str, ...]
    """(P,) "train", "validation" or "test"."""

    loss: GridLoss
    """What the grid cost."""

    vocabulary: Vocabulary
    """What the rows' values mean."""

    path: Path
    """The file that holds the rows: anyone may have written it, so each piece is checked when it is asked for."""

    def __len__(self) -> int:
        return len(self.split)

    def piece(self, index: int) -> Rows:
        """(L, 8) rows of one piece, a view. Raises MeloError where the file holds what is no piece."""
        rows = self.rows[self.first[index] : self.first[index + 1]]
        if not is_piece(rows, self.vocabulary):
            raise _damaged(self.path)
        return rows

    def of_split(self, split: str) -> list[Rows]:
        """The pieces of one side of the split, views. Raises MeloError as `piece` does."""
        return [self.piece(i) for i, s in enumerate(self.split) if s == split]


@dataclass(kw_only=True)
class _Seen:
    """What is remembered of the pieces that were encoded, beside their rows."""

    names: list[str] = field(default_factory=list)
    sketches: list[Sketch] = field(default_factory=list)
    loss: GridLoss = field(default_factory=GridLoss)

    def split(self) -> tuple[str, ...]:
        """(P,) side of each piece. Near copies share a group, and so a side; see `analysis.corpus.merged_groups`."""
        cluster = clusters(near_duplicates(self.sketches), self.names).tolist()
        keys = [s.key or name for s, name in zip(self.sketches, self.names, strict=True)]
        return tuple(split_groups(merged_groups(keys, cluster)))


def make_shard(
    paths: Sequence[Path],
    vocabulary: Vocabulary,
    stem: Path,
    *,
    meter: tuple[int, int] | None = None,
    on_file: Callable[[], None] = lambda: None,
) -> Shard:
    """Read and encode files, and open what was written: rows of one piece are in memory at a time.

    STEM.safetensors is written and then STEM.json, each whole; a shard without its JSON does not exist. Files that cannot be
    read are left out (`corpus check` lists them with reasons).

    Raises:
        MeloError: nothing could be read.
    """
    seen = _Seen()
    write_rows(stem.with_suffix(".safetensors"), _encoded(paths, vocabulary, meter, on_file, seen))
    _write_about(stem, seen.split(), seen.loss)
    return read_shard(stem)


def read_shard(stem: Path) -> Shard:
    """Open a shard that was written here: its rows stay on disk, and each piece is checked when it is asked for.

    Raises:
        MeloError: it is missing or damaged.
    """
    path = stem.with_suffix(".safetensors")
    try:
        split, loss = _about(read_json(stem.with_suffix(".json"), what="row shard", max_bytes=1 << 30))
        rows, first = map_rows(path)
        if len(first) != len(split) + 1:
            raise ValueError("a split of other pieces")
        if first[0] != 0 or first[-1] != len(rows) or not (first[:-1] < first[1:]).all():
            raise ValueError("pieces out of order")
    except (MeloError, OSError, ValueError, RecursionError) as error:
        raise _damaged(path) from error
    return Shard(rows=rows, first=np.array(first), split=split, loss=loss, vocabulary=default_vocabulary(), path=path)


def is_piece(rows: Rows, vocabulary: Vocabulary) -> bool:
    """Whether (L, 8) rows are a piece by the grammar, nothing of it being rewritten; `meloctl.rows.grammar.check_rows` says,
    slowly, what is wrong."""
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
    """(3, 8) least and greatest value of each field in a header, a note and an end row; ABSENT where it has none."""
    low, high = np.full((2, 3, len(FIELDS)), ABSENT, dtype=np.int16)
    for kind, name in enumerate(("header", "note", "end")):
        having = list(FIELDS_OF[name])
        low[kind, having], high[kind, having] = 0, np.array(vocabulary.sizes)[having] - 1
    return low, high


def _encoded(
    paths: Sequence[Path],
    vocabulary: Vocabulary,
    meter: tuple[int, int] | None,
    on_file: Callable[[], None],
    seen: _Seen,
) -> Iterator[Rows]:
    """Rows of the files that can be read, one by one; `seen` learns the rest."""
    for found in read_files(paths, meter=meter, on_file=on_file):
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


def _write_about(stem: Path, split: tuple[str, ...], loss: GridLoss) -> None:
    about = {"format": FORMAT, "split": list(split), "loss": vars(loss)}
    atomic_write_text(stem.with_suffix(".json"), json.dumps(about) + "\n")


def _about(about: object) -> tuple[tuple[str, ...], GridLoss]:
    """(split, loss) of a shard's JSON. Raises ValueError when it is not exactly what `_write_about` writes."""
    if not isinstance(about, dict) or set(about) != {"format", "split", "loss"} or about["format"] != FORMAT:
        raise ValueError("another format")
    split, loss = about["split"], about["loss"]
    if not isinstance(split, list) or not all(s in SIDES for s in split):
        raise ValueError("no split")
    if not isinstance(loss, dict) or set(loss) != set(vars(GridLoss())):
        raise ValueError("no loss")
    notes = loss["notes"]
    if type(notes) is not int or not 1 <= notes <= _MOST_NOTES:
        raise ValueError("no number of notes")
    if not all(type(n) is int and 0 <= n <= notes for n in loss.values()):
        raise ValueError("counts that are none, or of more notes than there are")
    return tuple(split), GridLoss(**loss)


def _damaged(path: Path) -> MeloError:
    return MeloError(f"{path}: a damaged row shard; delete it and the .json beside it, then run again")
