"""The same bars of the same real pieces, as rows and as MidiTok's REMI tokens."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from analysis.errors import MeloError
from analysis.midi import read_midi
from masks.spec import MOST_OFFSET
from meloctl.dataset.windows import Window, windows
from meloctl.rows.codec import Rows, encode
from meloctl.rows.vocabulary import ABSENT, INSTRUMENT, PITCH, Vocabulary

Tokens = npt.NDArray[np.int64]

NOTES_APART = 0.02
"""Rows and tokens may differ by this share of their notes (each grid merges others); bars that differ more are left out."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenBar:
    """A bar as REMI tokens."""

    tokens: Tokens
    notes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Excerpt:
    """Some whole bars of one piece."""

    window: Window

    bars: tuple[TokenBar, ...] = ()
    """The same bars as tokens; empty where they are not needed."""

    @property
    def tokens(self) -> Tokens:
        """(K,)"""
        return np.concatenate([bar.tokens for bar in self.bars]) if self.bars else np.zeros(0, dtype=np.int64)

    @property
    def token_notes(self) -> int:
        """Notes among the tokens."""
        return sum(bar.notes for bar in self.bars)

    @property
    def notes(self) -> int:
        """Note rows."""
        return int((self.window.rows[:, PITCH] != ABSENT).sum())


@cache
def remi() -> Any:
    """MidiTok's REMI as one stream of all tracks, each note with its program; metre, tempo and every pitch, as rows have them."""
    from miditok import REMI, TokenizerConfig

    return REMI(
        TokenizerConfig(
            use_programs=True,
            one_token_stream_for_programs=True,
            use_time_signatures=True,
            use_tempos=True,
            pitch_range=(0, 127),
            drums_pitch_range=(0, 127),
        )
    )


def pieces(folder: Path, vocabulary: Vocabulary, random: np.random.Generator) -> Iterator[tuple[Path, Rows]]:
    """Every file that can be read, in an order drawn at random, with its rows.

    Raises:
        MeloError: no MIDI file in the folder.
    """
    paths = sorted(folder.rglob("*.mid"))
    if not paths:
        raise MeloError(f"{folder}: no .mid file in it; give a folder of MIDI files, or set MELOCTL_DATA")
    for i in random.permutation(len(paths)):
        try:
            yield paths[i], encode(read_midi(paths[i]), vocabulary)[0]
        except MeloError:
            continue


def token_bars(path: Path) -> list[TokenBar]:
    """REMI tokens of each bar of a file."""
    vocab: dict[str, int] = remi().vocab
    pitches = [i for name, i in vocab.items() if name.startswith("Pitch")]
    ids = np.array(remi()(path).ids, dtype=np.int64)
    bars = np.split(ids, np.flatnonzero(ids == vocab["Bar_None"]))[1:]
    return [TokenBar(tokens=bar, notes=int(np.isin(bar, pitches).sum())) for bar in bars]


def in_both(rows: Rows, bars: Sequence[TokenBar], first: int, most: int, vocabulary: Vocabulary) -> Excerpt | None:
    """As many whole bars from `first` on as fit into `most` tokens; None where rows and tokens are not the same bars.

    Args:
        rows: (L, F) of a whole piece.
        bars: its tokens, bar by bar.
    """
    starts = np.append(np.flatnonzero(rows[:, INSTRUMENT] == vocabulary.bar), len(rows))
    if len(starts) - 1 != len(bars):
        return None
    last = first + int(np.searchsorted(np.cumsum([len(bar.tokens) for bar in bars[first:]]), most, side="right"))
    if last == first:
        return None
    window = Window(rows=rows[starts[first] : starts[last]], first_bar=first)
    found = Excerpt(window=window, bars=tuple(bars[first:last]))
    same = found.notes and abs(found.token_notes - found.notes) <= NOTES_APART * found.notes
    return found if same else None


def cut(excerpt: Excerpt, most: int, vocabulary: Vocabulary) -> list[Excerpt] | None:
    """An excerpt in excerpts of at most `most` tokens, cut at bar lines; None where one bar alone is longer.

    A rest that fills less than half of a context is left out: its context is none.
    """
    out: list[Excerpt] = []
    done = 0
    while done < len(excerpt.bars):
        piece = in_both(excerpt.window.rows, excerpt.bars, done, most, vocabulary)
        if piece is None:
            return None
        window = Window(rows=piece.window.rows, first_bar=excerpt.window.first_bar + done)
        out.append(Excerpt(window=window, bars=piece.bars))
        done += len(piece.bars)
    return [excerpt for excerpt in out if len(excerpt.tokens) >= most / 2]


def by_tokens(
    folder: Path, vocabulary: Vocabulary, tokens: Sequence[int], count: int, random: np.random.Generator
) -> dict[int, list[list[Excerpt]]]:
    """For each number of tokens, `count` steps: the same music in each, cut into excerpts of at most so many tokens.

    A step is one excerpt of one piece, nine tenths of the largest number of tokens or more.
    """
    most = max(tokens)
    steps: dict[int, list[list[Excerpt]]] = {n: [] for n in tokens}
    for path, rows in pieces(folder, vocabulary, random):
        if len(rows) * 5 < most:  # five tokens a row at most: too short, and not worth its tokens
            continue
        bars = token_bars(path)
        before = np.cumsum([len(bar.tokens) for bar in bars])
        last = int(np.searchsorted(before, before[-1] - most)) if before[-1] >= most else 0
        whole = in_both(rows, bars, int(random.integers(last + 1)), most, vocabulary)
        if whole is None or len(whole.tokens) < 0.9 * most:
            continue
        cuts = {n: cut(whole, n, vocabulary) for n in tokens}
        if all(cuts.values()):
            for n, excerpts in cuts.items():
                steps[n].append(excerpts or [])
        if len(steps[most]) == count:
            return steps
    raise MeloError(f"{folder}: fewer than {count} excerpts of {most:,} tokens in it; give more or longer pieces")


def by_rows(
    folder: Path, vocabulary: Vocabulary, lengths: Sequence[int], count: int, random: np.random.Generator
) -> dict[int, list[list[Excerpt]]]:
    """For each length, `count` steps: the same rows in each, cut at bar lines into windows of at most that length."""
    most = max(lengths)
    steps: dict[int, list[list[Excerpt]]] = {n: [] for n in lengths}
    for _, rows in pieces(folder, vocabulary, random):
        whole = windows([rows], most, vocabulary)[0].rows
        if len(whole) < 0.9 * most:
            continue
        for n in lengths:
            cuts = [window for window in windows([whole], n, vocabulary) if len(window.rows) >= n / 2]
            steps[n].append([Excerpt(window=window) for window in cuts])
        if len(steps[most]) == count:
            return steps
    raise MeloError(f"{folder}: fewer than {count} pieces of {most:,} rows in it; give more or longer pieces")


def excerpts(
    folder: Path, vocabulary: Vocabulary, length: int, count: int, random: np.random.Generator
) -> list[tuple[Rows, bool]]:
    """`count` times exactly `length` rows of a piece, and whether it had to be repeated, at later bars, to be that long.

    Longer pieces come first where not enough are as long as that; of those that are, the draw decides.
    """
    known = [rows for _, rows in pieces(folder, vocabulary, random)]
    known.sort(key=lambda rows: -min(len(rows), length))  # a stable sort: those that are long enough stay as drawn
    out = []
    for rows in known:
        music = rows[rows[:, INSTRUMENT] != vocabulary.end]
        times = math.ceil(length / len(music))
        if times * int((music[:, INSTRUMENT] == vocabulary.bar).sum()) > MOST_OFFSET:
            continue
        out.append((np.tile(music, (times, 1))[:length], times > 1))
        if len(out) == count:
            return out
    raise MeloError(f"{folder}: fewer than {count} pieces of which {length:,} rows can be made; give more pieces")


def save_steps(steps: Sequence[Sequence[Excerpt]], path: Path) -> None:
    """Write steps to a .npz file, for another process."""
    arrays: dict[str, Any] = {}
    for i, step in enumerate(steps):
        for j, excerpt in enumerate(step):
            arrays[f"{i}/{j}/rows"] = np.asarray(excerpt.window.rows)
            arrays[f"{i}/{j}/tokens"] = excerpt.tokens
            arrays[f"{i}/{j}/about"] = np.array([excerpt.window.first_bar, excerpt.token_notes])
    np.savez(path, **arrays)


def load_steps(path: Path) -> list[list[Excerpt]]:
    """What `save_steps` wrote; the bars' tokens are joined."""
    steps: list[list[Excerpt]] = []
    with np.load(path) as arrays:
        for name in arrays.files:
            place, _, what = name.rpartition("/")
            if what != "rows":
                continue
            first_bar, token_notes = arrays[f"{place}/about"].tolist()
            window = Window(rows=arrays[name], first_bar=first_bar)
            step = int(place.split("/")[0])
            steps += [[] for _ in range(step + 1 - len(steps))]
            joined = TokenBar(tokens=arrays[f"{place}/tokens"], notes=token_notes)
            steps[step].append(Excerpt(window=window, bars=(joined,) if len(joined.tokens) else ()))
    return steps
