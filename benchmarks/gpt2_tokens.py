"""A corpus as MidiTok's REMI tokens, on the sides of the split on which `meloctl train` has its pieces; windows of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from train_music import Tokens, remi

from analysis.atomic_write import atomic_write
from analysis.corpus import find_files, fingerprint
from analysis.midi_write import write_midi
from analysis.reading import AS_IT_STANDS
from meloctl.dataset.augment import TRANSPOSITIONS, allowed_moves
from meloctl.dataset.corpus_rows import corpus_rows
from meloctl.dataset.store import Shard
from meloctl.progress import SilentReporter
from meloctl.rows.codec import decode
from meloctl.rows.vocabulary import INSTRUMENT, default_vocabulary

NO_TOKEN = -100
"""Behind the end of a piece."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenCorpus:
    """P pieces as tokens, end to end."""

    ids: Tokens
    """(N,)"""

    first: Tokens
    """(P + 1,) where each piece begins."""

    side: Any
    """(P,) train, validation or test."""

    set_name: Any
    """(P,) the folder of the corpus that a piece lies in."""

    def pieces(self, *sides: str) -> list[int]:
        """Numbers of the pieces on some sides of the split."""
        return [int(i) for i in np.flatnonzero(np.isin(self.side, sides))]

    def piece(self, i: int) -> Tokens:
        """(K,) from BOS to EOS."""
        return self.ids[self.first[i] : self.first[i + 1]]

    @classmethod
    def read(cls, path: Path) -> "TokenCorpus":
        """What `write_tokens` wrote."""
        with np.load(path, allow_pickle=False) as a:
            return cls(ids=a["ids"].astype(np.int64), first=a["first"], side=a["side"], set_name=a["set_name"])


def split_rows(corpus: Path, work: Path) -> tuple[list[Path], Shard]:
    """The files of a corpus, and their rows and sides of the split as a workspace has them."""
    paths = find_files(corpus)
    shard = corpus_rows(
        work / "cache",
        paths,
        default_vocabulary(),
        SilentReporter(),
        corpus=str(corpus.resolve()),
        fingerprint=fingerprint(paths, corpus),
        reading=AS_IT_STANDS,
    )
    if len(shard) != len(paths):
        raise SystemExit(f"error: {len(paths) - len(shard)} files of {corpus} cannot be read; take them out")
    return paths, shard


def write_real(corpus: Path, work: Path, out: Path, *, bars: int, pieces: int) -> None:
    """The first bars of all held-out pieces, `bars` or all that they have: `pieces` of them, drawn at random, in out/real, the
    others in out/reference."""
    paths, shard = split_rows(corpus, work)
    held_out = [i for i, side in enumerate(shard.split) if side != "train"]
    real = np.random.default_rng(0).choice(held_out, pieces, replace=False).tolist()
    for i in held_out:
        music, end = shard.piece(i)[:-1], shard.piece(i)[-1:]
        starts = [*np.flatnonzero(music[:, INSTRUMENT] == shard.vocabulary.bar), len(music)]
        rows = np.concatenate([music[: starts[min(bars, len(starts) - 1)]], end])
        folder = out / ("real" if i in real else "reference")
        folder.mkdir(parents=True, exist_ok=True)
        write_midi(decode(rows, shard.vocabulary), folder / f"{paths[i].parent.name}-{paths[i].name}")


def write_tokens(corpus: Path, work: Path, out: Path) -> None:
    """Tokenise all pieces of a corpus, each on the side of the split on which the rows of a workspace have it."""
    paths, shard = split_rows(corpus, work)
    begin, end = ([remi().vocab[name]] for name in ("BOS_None", "EOS_None"))
    pieces = [np.array([*begin, *remi()(path).ids, *end], dtype=np.int16) for path in paths]
    with atomic_write(out) as partial, partial.open("wb") as file:
        np.savez(
            file,
            ids=np.concatenate(pieces),
            first=np.cumsum([0, *map(len, pieces)]),
            side=np.array(shard.split),
            set_name=np.array([path.relative_to(corpus).parts[0] for path in paths]),
        )


def note_tokens(*, drums: bool) -> Tokens:
    """The tokens of pitches, ascending; one of them a note."""
    return np.array([i for name, i in remi().vocab.items() if name.startswith("Pitch" if drums else "Pitch_")])


def count_notes(ids: Tokens) -> int:
    """Notes among tokens of any shape."""
    return int(np.isin(ids, note_tokens(drums=True)).sum())


def training_window(ids: Tokens, length: int, random: np.random.Generator) -> Tokens:
    """(length,) tokens of a piece from anywhere, its head and tail likelier, transposed; NO_TOKEN behind its end."""
    start = int(np.clip(random.integers(-length // 2, len(ids)), 0, max(0, len(ids) - length)))
    cut = ids[start : start + length].copy()
    scale = note_tokens(drums=False)
    notes = np.isin(cut, scale)
    moves = allowed_moves((cut[notes] - scale[0]).astype(np.int16), len(scale), TRANSPOSITIONS)
    cut[notes] += random.integers(moves.start, moves.stop)
    return np.pad(cut, (0, length - len(cut)), constant_values=NO_TOKEN)


def overlapping(ids: Tokens, context: int) -> Iterator[tuple[Tokens, int]]:
    """Windows (K,) of a piece, at most context + 1 tokens each, and how many tokens at the end of each are new.

    Every token but the first is new in one window; before it stands all of the piece, or at least half the context of it.
    """
    done = 1
    while done < len(ids):
        stop = min(len(ids), context + 1 if done == 1 else done + context // 2)
        yield ids[max(0, stop - context - 1) : stop], stop - done
        done = stop
