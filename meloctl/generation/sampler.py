"""Writes a piece: exactly the bars asked for, every row allowed by the grammar, the same piece for the same seed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from analysis.errors import MeloError
from meloctl.generation.decoder import Decoder
from meloctl.model.meloformer import MeloFormer
from meloctl.rows.codec import Rows
from meloctl.rows.grammar import FIELDS_OF, State, after, allowed, kind_of
from meloctl.rows.vocabulary import ABSENT, FIELDS, INSTRUMENT, NUMBER, Vocabulary

MOST_BARS = 10_000
MOST_ROWS_IN_BAR = 512
"""A bar that has this many notes is closed."""

MOST_PITCHED, MOST_PARTS = 15, 16
"""Parts that a piece may have: MIDI has 16 channels, one of them for drums."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How values are drawn.

    Raises:
        MeloError: on values out of range.
    """

    bars: int
    seed: int = 0
    temperature: float = 1.0
    """Below 1 is safer, above 1 wilder."""

    top_p: float = 0.95
    """Values are drawn from the likeliest ones that together have this probability."""

    def __post_init__(self) -> None:
        if not 1 <= self.bars <= MOST_BARS:
            raise MeloError(f"--bars {self.bars}: give a whole number of bars, 1 to {MOST_BARS}")
        if not 0.05 <= self.temperature <= 5:
            raise MeloError(f"--temperature {self.temperature}: give a number from 0.05 to 5; 1 is the model's own")
        if not 0 < self.top_p <= 1:
            raise MeloError(f"--top-p {self.top_p}: give a number above 0 and up to 1; 1 leaves nothing out")
        if not 0 <= self.seed < 1 << 63:
            raise MeloError(f"--seed {self.seed}: give a whole number, 0 or more")


def generate_rows(model: MeloFormer, sampling: Sampling, *, on_bar: Callable[[], None] = lambda: None) -> Rows:
    """Rows of a new piece of exactly `sampling.bars` bars, the end row last; `on_bar` is called as each bar closes.

    The last bar is given at least one note, so that a reader of the file counts as many bars as were asked for.
    """
    vocabulary, random = model.vocabulary, np.random.default_rng(sampling.seed)
    decoder, state, rows = Decoder(model), State(), []
    hidden, bars, in_bar = decoder.start(), 0, 0
    parts: set[tuple[int, int]] = set()
    while True:
        kinds = _kinds(vocabulary, sampling.bars, bars, in_bar)
        row = _row(model, hidden, state, sampling, random, kinds, parts, last_bar=bars == sampling.bars)
        rows.append(row)
        state = after(row, state, vocabulary)
        if state.kind == "end":
            on_bar()
            return np.stack(rows)
        if state.kind == "header":
            bars, in_bar = bars + 1, 0
            if bars > 1:
                on_bar()
        else:
            in_bar += 1
            parts.add((int(row[INSTRUMENT]), int(row[NUMBER])))
        hidden = decoder.step(torch.from_numpy(row.astype(np.int64)))


@torch.no_grad()
def _row(
    model: MeloFormer,
    hidden: Tensor,
    state: State,
    sampling: Sampling,
    random: np.random.Generator,
    kinds: npt.NDArray[np.bool_],
    parts: set[tuple[int, int]],
    *,
    last_bar: bool,
) -> npt.NDArray[np.int16]:
    """Draw one row, field by field; `kinds` are the instruments that the number of bars leaves, `parts` those so far."""
    vocabulary, heads = model.vocabulary, model.heads
    row = np.full(len(FIELDS), ABSENT, dtype=np.int16)
    may = allowed(INSTRUMENT, row, state, vocabulary) & kinds & _playable_instruments(vocabulary, state, parts)
    drawn = draw(heads.logits(INSTRUMENT, hidden), may, sampling, random)
    row[INSTRUMENT] = _closing(drawn, vocabulary, last_bar=last_bar)
    fields = FIELDS_OF[kind_of(row, vocabulary)]
    for last, field in zip(fields, fields[1:], strict=False):
        hidden = heads.tell(last, torch.tensor(int(row[last])), hidden)
        may = allowed(field, row, state, vocabulary)
        if field == NUMBER and _is_full(vocabulary, int(row[INSTRUMENT]), parts):
            may &= np.isin(np.arange(len(may)), [n for i, n in parts if i == row[INSTRUMENT]])
        row[field] = draw(heads.logits(field, hidden), may, sampling, random)
    return row


def _is_full(vocabulary: Vocabulary, instrument: int, parts: set[tuple[int, int]]) -> bool:
    """True when no further part of this instrument may enter."""
    pitched = sum(i != vocabulary.drums for i, _ in parts)
    return len(parts) >= MOST_PARTS or (instrument != vocabulary.drums and pitched >= MOST_PITCHED)


def _playable_instruments(vocabulary: Vocabulary, state: State, parts: set[tuple[int, int]]) -> npt.NDArray[np.bool_]:
    """Instruments of which a part may enter, or has entered and may still play in this bar; header and end rows pass."""
    may = np.ones(len(vocabulary.instruments), dtype=np.bool_)
    still = {i for i, n in parts if (i, n) >= state.least[:2]}
    for instrument in (vocabulary.drums, vocabulary.drums + 1):
        if _is_full(vocabulary, instrument, parts):
            whole = slice(instrument, instrument + 1 if instrument == vocabulary.drums else vocabulary.end)
            may[whole] = False
    may[list(still)] = True
    return may


def _kinds(vocabulary: Vocabulary, wanted: int, bars: int, in_bar: int) -> npt.NDArray[np.bool_]:
    """Which instruments the number of bars leaves. A header and an end both close the bar, see `_closing`."""
    may = np.ones(len(vocabulary.instruments), dtype=np.bool_)
    if bars == wanted and in_bar == 0:
        may[[vocabulary.bar, vocabulary.end]] = False
    if in_bar >= MOST_ROWS_IN_BAR:
        may[vocabulary.drums : vocabulary.end] = False
    return may


def _closing(instrument: int, vocabulary: Vocabulary, *, last_bar: bool) -> int:
    """What follows where the model closes a bar: the end after the last bar, another bar anywhere else.

    Taking one for the other keeps the model's own probability of closing; forbidding one would leave it to notes.
    """
    if instrument not in (vocabulary.bar, vocabulary.end):
        return instrument
    return vocabulary.end if last_bar else vocabulary.bar


def draw(logits: Tensor, may: npt.NDArray[np.bool_], sampling: Sampling, random: np.random.Generator) -> int:
    """One value from logits (V,), among those that `may` (V,) allows; at least one must be allowed."""
    scores = np.where(may, logits.double().numpy() / sampling.temperature, -np.inf)
    if not np.isfinite(scores.max()):
        raise MeloError("the model gives no finite probabilities; its weights are damaged: train again")
    chance = np.exp(scores - scores.max())
    order = np.argsort(-chance, kind="stable")
    upto = np.cumsum(chance[order])
    kept = int(np.searchsorted(upto, sampling.top_p * upto[-1])) + 1
    return int(order[np.searchsorted(upto[:kept], random.random() * upto[kept - 1], side="right").clip(max=kept - 1)])
