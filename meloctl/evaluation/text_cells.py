"""Cells of `meloctl evaluate --text`: pieces that were written under one condition, read back from their MIDI files and measured.

A cell is finished when its file is there, so an evaluation that was stopped goes on with the next one. Shape letters: N pieces,
T bars, A attributes, D width of a plan.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from zipfile import BadZipFile

import numpy as np

from analysis.arrays import Floats, Ints
from analysis.atomic_write import atomic_write
from analysis.errors import MeloError
from analysis.midi import read_midi
from analysis.midi_write import midi_bytes
from meloctl.evaluation.plan_rivals import PlannedCorpus, difference_plan, linear_plan, nearest_plans
from meloctl.evaluation.text_cases import TextCases
from meloctl.rows.attributes import ATTRIBUTES, bar_attributes, piece_attributes
from meloctl.rows.codec import Rows, decode, encode
from meloctl.rows.vocabulary import Vocabulary
from meloctl.score.playable import playable

NULLS = ("none", "zero", "shuffled", "other")
"""No plan; a plan of zeros; the text's plans, the numbers of each in another order; the plans of a text about something else."""

RIVALS = ("nearest", "difference", "linear", "wants")
"""See `plan_rivals`; and the bridge without a text, given the levels themselves."""

RANDOM_WANTED = ("tempo", "density", "register", "loudness")
"""Attributes whose wanted levels are drawn at random, for correlations."""

_LEVEL = 1.3
"""Wanted of an attribute where a side is asked for: about what the lexicon's words say."""

_RANDOM_LEVEL = 1.5
"""Random levels lie between minus this and this."""

_RANDOM_CELLS = ("captions", "unseen captions", "random")

_RANDOM = 3
"""Times as many pieces as another cell has, for correlations."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlannedBars:
    """What steers a piece."""

    plans: Floats
    """(T, D)"""

    tempo: Ints | None = None
    """(T,) of each bar, as an index of the vocabulary's tempos; None: what the plans say of it."""


class PlannedMusic(Protocol):
    """A music model with plans, and what makes plans of words."""

    @property
    def plan_width(self) -> int:
        """D."""

    def of_texts(
        self, texts: Sequence[tuple[str, ...]], bars: int, seeds: Sequence[int], *, unseen: bool
    ) -> list[PlannedBars]:
        """What steers N pieces, each by a text, or by two texts, one of each half.

        Args:
            unseen: read by what knows the words of training captions alone; else as in use.
        """

    def of_wants(self, wants: Floats, bars: int, seeds: Sequence[int]) -> list[PlannedBars]:
        """What steers N pieces by levels (N, A), NaN where nothing is said, without words."""

    def caption(self, levels: Floats, random: np.random.Generator) -> tuple[str, Floats]:
        """Words that no training caption holds for levels (A,), and the levels (A,) that they say, NaN where they say nothing."""

    def write(self, steered: Sequence[PlannedBars | None], bars: int, seeds: Sequence[int]) -> list[Rows]:
        """Pieces under plans, or without."""


@dataclass(frozen=True, kw_only=True)
class TextCell:
    """Pieces under one condition."""

    condition: str
    """ "text", "captions" and "random" (random wants in words, and as levels); "unseen" and "unseen captions", read by what knows
    the words of training captions alone; or one of NULLS and RIVALS but "other"."""

    texts: tuple[str, ...] = ()
    """A text, or one of each half."""

    side: tuple[str, int] | None = None
    """(attribute, 1 or −1) of a rival."""

    @property
    def name(self) -> str:
        """Of its files."""
        said = json.dumps([self.texts, self.side], ensure_ascii=False)
        return f"{self.condition.replace(' ', '-')}-{hashlib.sha256(said.encode()).hexdigest()[:8]}"

    def size(self, pieces: int) -> int:
        """How many pieces it has where others have so many: what stands for both sides of each pair has twice as many."""
        return pieces * {"none": 2, "zero": 2, **dict.fromkeys(_RANDOM_CELLS, _RANDOM)}.get(self.condition, 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class CellMeasures:
    """What the pieces of a cell are like."""

    pieces: Floats
    """(N, A) attributes."""

    bars: Floats
    """(N, T, A)"""

    plans: Floats
    """(N, T, D); (N, 0, D) without plans."""

    wanted: Floats
    """(N, A) levels that were asked for, NaN where nothing was said; of "random" and "captions" alone."""


def cells_of(cases: TextCases, *, rivals: bool) -> list[TextCell]:
    """Every cell of the cases, those that decide first.

    Args:
        rivals: whether there are real pieces, from which rivals are made.
    """
    cells = [TextCell(condition=condition) for condition in ("none", "zero")]
    cells += [TextCell(condition="text", texts=texts) for texts in cases.requests()]
    cells += [TextCell(condition=condition) for condition in _RANDOM_CELLS]
    cells += [TextCell(condition="unseen", texts=texts) for texts in cases.opposites() if len(texts) == 1]
    cells += [TextCell(condition="shuffled", texts=texts) for texts in cases.opposites()]
    for condition in RIVALS if rivals else ("wants",):
        cells += [TextCell(condition=condition, side=side) for side in cases.sides()]
    return cells


@dataclass(frozen=True, kw_only=True)
class CellMaker:
    """Makes cells: plans, pieces, files, measures."""

    music: PlannedMusic
    vocabulary: Vocabulary
    corpus: PlannedCorpus | None
    """Real pieces, for rivals."""

    pieces: int
    """Of most cells; see `TextCell.size`."""

    bars: int
    seed: int
    """Of the first piece of each cell; the others follow."""

    def measured(self, cell: TextCell, folder: Path) -> CellMeasures:
        """A cell of a run's folder: what stands in its file, else made, with the MIDI files of its pieces."""
        path = folder / "cells" / f"{cell.name}.npz"
        if path.is_file():
            return load_cell(path)
        n = cell.size(self.pieces)
        seeds = range(self.seed, self.seed + n)
        wanted, texts = self._asked(cell, n)
        steered = self._steered(cell, wanted, texts, seeds)
        rows = self.music.write(steered, self.bars, seeds)
        written = folder / "pieces" / cell.name
        written.mkdir(parents=True, exist_ok=True)
        read = [read_back(one, written / f"{seed}.mid", self.vocabulary) for one, seed in zip(rows, seeds, strict=True)]
        measures = CellMeasures(
            pieces=np.stack([piece_attributes(one, self.vocabulary) for one in read]),
            bars=np.stack([_fitted(bar_attributes(one, self.vocabulary), self.bars) for one in read]),
            plans=np.stack([np.zeros((0, self.music.plan_width)) if one is None else one.plans for one in steered]),
            wanted=wanted,
        )
        save_cell(measures, path)
        return measures

    def _asked(self, cell: TextCell, n: int) -> tuple[Floats, list[tuple[str, ...]]]:
        """(N, A) the levels that each piece is asked for, NaN where none is drawn at random; and its texts, if there are any."""
        wanted = np.full((n, len(ATTRIBUTES)), np.nan)
        if cell.condition not in _RANDOM_CELLS:
            return wanted, [cell.texts] * n
        columns = [ATTRIBUTES.index(name) for name in RANDOM_WANTED]
        drawn = np.random.default_rng(self.seed).uniform(-_RANDOM_LEVEL, _RANDOM_LEVEL, (n, len(columns)))
        wanted[:, columns] = drawn
        if cell.condition == "random":
            return wanted, [()] * n
        random = np.random.default_rng(self.seed)
        captions = [self.music.caption(levels, random) for levels in wanted]
        return np.stack([said for _, said in captions]), [(text,) for text, _ in captions]

    def _steered(
        self, cell: TextCell, wanted: Floats, texts: Sequence[tuple[str, ...]], seeds: Sequence[int]
    ) -> list[PlannedBars | None]:
        """What steers each piece, by its texts or by wanted levels (N, A); None for no plan."""
        n, random = len(seeds), np.random.default_rng(self.seed)
        condition, shape = cell.condition, (self.bars, self.music.plan_width)
        if condition == "none":
            return [None] * n
        if condition == "zero":
            return [PlannedBars(plans=np.zeros(shape))] * n
        if condition in ("text", "captions", "unseen", "unseen captions"):
            return list(self.music.of_texts(texts, self.bars, seeds, unseen=condition.startswith("unseen")))
        if condition == "shuffled":
            plans = [one.plans for one in self.music.of_texts(texts, self.bars, seeds, unseen=False)]
            return [PlannedBars(plans=plan[:, random.permutation(shape[1])]) for plan in plans]
        if condition == "random":
            return list(self.music.of_wants(wanted, self.bars, seeds))
        return self._rival(cell, seeds)

    def _rival(self, cell: TextCell, seeds: Sequence[int]) -> list[PlannedBars | None]:
        """What steers each piece of a rival."""
        assert cell.side is not None  # of every rival
        wants = np.full(len(ATTRIBUTES), np.nan)
        wants[ATTRIBUTES.index(cell.side[0])] = _LEVEL * cell.side[1]
        if cell.condition == "wants":
            return list(self.music.of_wants(np.tile(wants, (len(seeds), 1)), self.bars, seeds))
        assert self.corpus is not None  # else `cells_of` names no other rival
        if cell.condition == "nearest":
            return [PlannedBars(plans=plan) for plan in nearest_plans(self.corpus, wants, self.bars, len(seeds))]
        constant = {"difference": difference_plan, "linear": linear_plan}[cell.condition](self.corpus, wants)
        return [PlannedBars(plans=np.broadcast_to(constant, (self.bars, len(constant))))] * len(seeds)


def read_back(rows: Rows, path: Path, vocabulary: Vocabulary) -> Rows:
    """(L, F) the rows of a MIDI file that is written from rows, and then read like any other."""
    with atomic_write(path) as partial:
        partial.write_bytes(midi_bytes(playable(decode(rows, vocabulary))))
    return encode(read_midi(path), vocabulary)[0]


def save_cell(measures: CellMeasures, path: Path) -> None:
    """Write a cell's file; it appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez(file, **vars(measures))


def load_cell(path: Path) -> CellMeasures:
    """A cell's file. Raises MeloError where it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return CellMeasures(**{name: arrays[name] for name in ("pieces", "bars", "plans", "wanted")})
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise MeloError(f"{path}: a damaged cell; delete it and run again") from error


def measure_cells(
    maker: CellMaker, cells: Sequence[TextCell], folder: Path, on_cell: Callable[[], None]
) -> dict[TextCell, CellMeasures]:
    """Every cell, in order, each made once."""
    found = {}
    for cell in cells:
        found[cell] = maker.measured(cell, folder)
        on_cell()
    return found


def _fitted(bars: Floats, n: int) -> Floats:
    """(n, A) attributes of bars (T, A): bars behind are left out, and those that are missing say nothing."""
    return np.pad(bars[:n], ((0, max(0, n - len(bars))), (0, 0)), constant_values=np.nan)
