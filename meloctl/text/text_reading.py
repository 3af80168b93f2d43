"""What a text asks of the music: levels of attributes, where in the piece, and which of its words were understood.

    reading = reader().read("purple rain, then a thunderstorm")
    reading.wants                   (A,) levels, NaN where unsaid
    reading.over_bars(32)           (32, A)
    reading.line()                  "understood: at first …; not understood: purple"

Two sources: phrases of the lexicon and of the table of scenes, which win; for other words a text head on the encoder's vector,
which names what it takes them for or leaves them as not understood.
Shape letters: A attributes, T bars, K knots of a section.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import as_file, files

import numpy as np

from analysis.arrays import Floats, Ints
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.checked_text import checked_text
from meloctl.text.clauses import Source, Statement, TextPart, parts_of
from meloctl.text.encoders import Encoder, load_encoder
from meloctl.text.lexicon import SPLITS, Shape, Split, limited
from meloctl.text.matching import matched
from meloctl.text.phrases import phrase_table, reader_words
from meloctl.text.text_head import TextHead, load_head
from meloctl.text.text_tokens import shown, tokens_of

DEFAULT_HEAD = "text_head.safetensors"

_KNOTS: Mapping[Shape, tuple[float, float, float]] = {
    "rising": (-1.0, 0.0, 1.0),
    "falling": (1.0, 0.0, -1.0),
    "arch": (-1.0, 1.0, -1.0),
    "valley": (1.0, -1.0, 1.0),
}
_STEADY = (1.0, 1.0, 1.0)
_K = 3

_Liked = Mapping[str, Mapping[str, float]]
"""Of unknown words: {attribute: level}."""

_SOURCES: tuple[Source, ...] = ("word", "scene", "unknown")
"""The first wins."""

_BESIDE_BEST = 0.6
"""An attribute of unknown words counts if it is at least so likely as this share of the likeliest one, …"""
_LIKELY = 0.25
"""… and as this."""
_FAINT = 0.4
"""Levels of unknown words below this say nothing."""

_STRONG, _WEAK, _MIDDLE = 1.6, 0.6, 0.2
"""Levels that are called "very" high, "a little" high, and neither."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Understood:
    """Words of a text, and what they were taken to ask for."""

    words: str
    levels: Mapping[str, float]
    """Without those for which other words of the text decide."""

    shape: Shape | None
    source: Source
    """ "unknown" where no phrase explains the words: the text head found what they are like."""

    def line(self) -> str:
        """ "low, loud (thunderstorm)"; the words alone where they say the same."""
        said = ", ".join(_level_words(name, level, self.shape) for name, level in self.levels.items())
        if self.source == "unknown":
            return f'{said} (taken from "{self.words}")'
        return said if said == self.words else f"{said} ({self.words})"


@dataclass(frozen=True, kw_only=True, eq=False)
class TextSection:
    """A stretch of the piece, as long in proportion as `share`, and what is asked of it."""

    share: float
    knots: Floats
    """(K, A) levels at its beginning, middle and end, NaN where unsaid."""

    understood: tuple[Understood, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class TextReading:
    """All that a text asks for."""

    text: str
    sections: tuple[TextSection, ...]
    """In order; one where the text speaks of the whole piece."""

    not_understood: tuple[str, ...]

    @property
    def wants(self) -> Floats:
        """(A,) mean levels over the piece, NaN where unsaid or where only a movement is asked for."""
        steady = np.array([_steady(section.knots) for section in self.sections])
        shares = np.array([section.share for section in self.sections])[:, None] * ~np.isnan(steady)
        return np.divide(
            (np.nan_to_num(steady) * shares).sum(0),
            shares.sum(0),
            out=np.full(len(ATTRIBUTES), np.nan),
            where=shares.sum(0) > 0,
        )

    @property
    def says_something(self) -> bool:
        """Whether anything was understood."""
        return any(section.understood for section in self.sections)

    def over_bars(self, bars: int) -> Floats:
        """(T, A) wants of each bar, NaN where unsaid."""
        sections = self._section_of_bars(bars)
        wants = np.empty((bars, len(ATTRIBUTES)))
        for i, section in enumerate(self.sections):
            rows = np.flatnonzero(sections == i)
            place = np.linspace(0, _K - 1, len(rows)) if len(rows) > 1 else np.full(len(rows), (_K - 1) / 2)
            before = np.minimum(place.astype(int), _K - 2)
            part = (place - before)[:, None]
            wants[rows] = section.knots[before] * (1 - part) + section.knots[before + 1] * part
        return wants

    def _section_of_bars(self, bars: int) -> Ints:
        """(T,) number of the section that each bar lies in."""
        ends = np.cumsum([section.share for section in self.sections])
        return np.searchsorted(ends / ends[-1], (np.arange(bars) + 0.5) / bars).clip(0, len(self.sections) - 1)

    def line(self) -> str:
        """What was understood and what was not, in one line."""
        parts = [", ".join(u.line() for u in section.understood) for section in self.sections]
        understood = "; then ".join(part or "nothing" for part in parts) if any(parts) else "nothing"
        unknown = f"; not understood: {', '.join(self.not_understood)}" if self.not_understood else ""
        return f"understood: {understood}{unknown}"


class TextReader:
    """Reads texts with the phrases of some splits and a text head.

    Args:
        encoder: makes the vectors of words that no phrase explains.
        head: trained on that encoder.
        splits: of lexicon and scenes; a test on words never seen leaves ("train",).
    """

    def __init__(self, encoder: Encoder, head: TextHead, *, splits: tuple[Split, ...] = SPLITS) -> None:
        self.encoder, self._head, self._phrases = encoder, head, phrase_table(splits)

    def read(self, text: str) -> TextReading:
        """What a text asks for. Raises MeloError for what is no text (`checked_text`)."""
        text = checked_text(text)
        parts = parts_of(matched(tokens_of(text), self._phrases))
        statements = [s for part in parts for s in part.statements + part.whole]
        unknown = list(dict.fromkeys(shown(s.words) for s in statements if s.source == "unknown"))
        liked = dict(zip(unknown, self._liked(unknown), strict=True))
        lost = [
            s for s in statements if s.source == "instrument" or (s.source == "unknown" and not liked[shown(s.words)])
        ]
        return TextReading(
            text=text,
            sections=tuple(_section(part, liked) for part in parts),
            not_understood=tuple(dict.fromkeys(shown(s.words) for s in lost)),
        )

    def _liked(self, unknown: Sequence[str]) -> list[dict[str, float]]:
        """{attribute: level} of what unknown words are like; empty where they are like nothing."""
        if not unknown:
            return []
        music, said, levels = self._head(self.encoder.encode(unknown))
        likely = said >= np.maximum(_LIKELY, _BESIDE_BEST * said.max(1, keepdims=True))
        chosen = likely & (np.abs(levels) >= _FAINT) & (music >= self._head.threshold)[:, None]
        return [{ATTRIBUTES[a]: float(levels[i, a]) for a in np.flatnonzero(chosen[i])} for i in range(len(unknown))]


@cache
def reader(*, splits: tuple[Split, ...] = SPLITS) -> TextReader:
    """A reader with the default encoder and the head that is installed, both loaded once; the encoder reads its weights for its
    first text, so texts whose words are all in the tables never need them.

    Raises:
        MeloError: the encoder or the head cannot be loaded, or the head is another encoder's.
    """
    return TextReader(*_encoder_and_head(), splits=splits)


@cache
def _encoder_and_head() -> tuple[Encoder, TextHead]:
    """Those that all readers share."""
    encoder = load_encoder()
    with as_file(files("meloctl.text") / DEFAULT_HEAD) as path:
        return encoder, load_head(path, fingerprint=encoder.fingerprint, width=encoder.width)


def _section(part: TextPart, liked: _Liked) -> TextSection:
    """Own statements before those of the whole piece, and words before scenes before likeness."""
    own, whole = (
        [u for s in statements for u in _understood(s, liked)] for statements in (part.statements, part.whole)
    )
    knots = np.full((_K, len(ATTRIBUTES)), np.nan)
    used: set[tuple[int, str]] = set()
    for rank in (own, whole):
        for source in _SOURCES:
            found: dict[int, list[Understood]] = {}
            for u in rank:
                for name in u.levels if u.source == source else ():
                    found.setdefault(ATTRIBUTES.index(name), []).append(u)
            for a, sayings in found.items():
                if np.isnan(knots[0, a]):
                    used |= {(id(u), ATTRIBUTES[a]) for u in sayings}
                    knots[:, a] = np.mean([_moving(u.levels[ATTRIBUTES[a]], u.shape) for u in sayings], axis=0)
    kept = [
        replace(u, levels={n: level for n, level in u.levels.items() if (id(u), n) in used}) for u in (*own, *whole)
    ]
    return TextSection(
        share=part.share,
        knots=knots,
        understood=tuple(u for u in kept if u.levels),
    )


def _understood(statement: Statement, liked: _Liked) -> list[Understood]:
    """A statement as it was understood; none where it was not."""
    levels = dict(statement.levels)
    if statement.source == "unknown":
        like = liked[shown(statement.words)]
        levels = {name: limited(level * statement.factor) for name, level in like.items()}
    if not levels:
        return []
    return [
        Understood(
            words=shown(statement.words),
            levels=levels,
            shape=statement.shape,
            source=statement.source,
        )
    ]


def _moving(level: float, shape: Shape | None) -> Floats:
    """(K,) levels at the knots of a section."""
    return level * np.array(_STEADY if shape is None else _KNOTS[shape])


def _steady(knots_KA: Floats) -> Floats:
    """(A,) levels of a section where they stay, NaN where they move or are unsaid."""
    return np.where(knots_KA[0] == knots_KA[1], knots_KA[1], np.nan)


def _level_words(name: str, level: float, shape: Shape | None) -> str:
    low, middle, high = reader_words().poles[name]
    if shape in ("rising", "falling"):
        rises = (level > 0) == (shape == "rising")
        return f"more and more {high if rises else low}"
    if shape is not None:
        return f"{high if (level > 0) == (shape == 'arch') else low} in the middle"
    if abs(level) < _MIDDLE:
        return middle
    pole = high if level > 0 else low
    return f"very {pole}" if abs(level) >= _STRONG else f"a little {pole}" if abs(level) < _WEAK else pole
