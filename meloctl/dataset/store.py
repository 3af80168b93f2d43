"""A corpus as rows, made once: one safetensors file for the rows, one JSON file for what they are."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from analysis.atomic import whole_file, write_text
from analysis.corpus import Skipped, group_of, merged_groups, read_files, split_groups
from analysis.errors import MeloError
from analysis.json_file import read_json
from analysis.likeness import Sketch, clusters, near_copies, sketch
from meloctl.rows.codec import GridLoss, Rows, encode
from meloctl.rows.vocabulary import Vocabulary

FORMAT = "meloctl.shard/2"
"""In shards of the first format near copies of one song could lie on two sides of the split."""


@dataclass(frozen=True, kw_only=True)
class Shard:
    """The rows of many pieces, end to end."""

    rows: Rows
    """(N, 8) every row of every piece."""

    first: npt.NDArray[np.int64]
    """(P + 1,) where each piece starts; the last entry is N."""

    split: tuple[str, ...]
    """(P,) "train", "validation" or "test"."""

    loss: GridLoss
    """What the grid cost."""

    def __len__(self) -> int:
        return len(self.split)

    def piece(self, index: int) -> Rows:
        """(L, 8) rows of one piece."""
        return self.rows[self.first[index] : self.first[index + 1]]

    def of_split(self, split: str) -> list[Rows]:
        """The pieces of one side of the split."""
        return [self.piece(i) for i, s in enumerate(self.split) if s == split]


def encode_corpus(
    paths: Sequence[Path],
    vocabulary: Vocabulary,
    *,
    meter: tuple[int, int] | None = None,
    on_file: Callable[[], None] = lambda: None,
) -> Shard:
    """Read and encode files; files that cannot be read are left out (`corpus check` lists them with reasons).

    Near copies of one song share a group, and so a side of the split; see `analysis.corpus.merged_groups`.

    Raises:
        MeloError: nothing could be read.
    """
    pieces: list[Rows] = []
    names: list[str] = []
    sketches: list[Sketch] = []
    loss = GridLoss()
    for found in read_files(paths, meter=meter, on_file=on_file):
        if isinstance(found, Skipped):
            continue
        rows, cost = encode(found.piece, vocabulary)
        pieces.append(rows)
        names.append(group_of(found.piece))
        sketches.append(sketch(found.piece))
        loss += cost
    if not pieces:
        raise MeloError(
            f"none of the {len(paths)} files could be read; run meloctl corpus check on the folder to see why"
        )
    cluster = clusters(near_copies(sketches), names).tolist()
    groups = merged_groups([s.key or name for s, name in zip(sketches, names, strict=True)], cluster)
    first = np.concatenate([[0], np.cumsum([len(r) for r in pieces])]).astype(np.int64)
    return Shard(rows=np.concatenate(pieces), first=first, split=tuple(split_groups(groups)), loss=loss)


def write_shard(shard: Shard, stem: Path) -> None:
    """Write STEM.safetensors and then STEM.json, each whole; a shard without its JSON does not exist."""
    with whole_file(stem.with_suffix(".safetensors")) as temporary:
        save_file({"rows": shard.rows, "first": shard.first}, temporary)
    about = {"format": FORMAT, "split": list(shard.split), "loss": vars(shard.loss)}
    write_text(stem.with_suffix(".json"), json.dumps(about) + "\n")


def read_shard(stem: Path) -> Shard:
    """A shard that write_shard wrote. Raises MeloError when it is missing or damaged."""
    about = read_json(stem.with_suffix(".json"), what="row shard", most_bytes=1 << 30)
    try:
        arrays = load_file(stem.with_suffix(".safetensors"))
        if not isinstance(about, dict) or about["format"] != FORMAT:
            raise ValueError("another format")
        return Shard(
            rows=arrays["rows"], first=arrays["first"], split=tuple(about["split"]), loss=GridLoss(**about["loss"])
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise MeloError(f"{stem}.safetensors: a damaged row shard; delete it and run again") from error
