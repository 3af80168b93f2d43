"""What the items of a text say: statements, clause by clause, and the sections of the piece that clauses speak of.

"calm at first, then a storm"       two sections: calm; a storm
"a slow piece, getting louder"      one section: slow, and loudness rising
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from meloctl.text.lexicon import Shape, limited
from meloctl.text.matching import Item
from meloctl.text.phrases import Place
from meloctl.text.text_tokens import STRONG, Tokens

Source = Literal["word", "scene", "unknown", "instrument"]
"""What explains a statement: the lexicon, the table of scenes, nothing; or it names an instrument and asks for nothing."""

_GRADE_GOES_ON = {("or",), ("nor",), ("或",), ("或", "者")}
"""Fillers behind a negated word that negate the next one too: "not fast or loud"."""

_END_SHARE = 0.5
"""What is said of the end holds for half as long as what is said of another section."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A phrase that asks for something, with what grades it; or words that no phrase explains."""

    words: Tokens
    source: Source

    levels: Mapping[str, float] = field(default_factory=dict)
    shape: Shape | None = None
    """How the level moves over the section; None where it stays."""

    factor: float = 1.0
    """What levels that are found for unknown words are multiplied by; `levels` hold it already."""


@dataclass(frozen=True, kw_only=True)
class Clause:
    """Statements between two marks."""

    place: Place | None
    statements: tuple[Statement, ...]


@dataclass(frozen=True, kw_only=True)
class TextPart:
    """A section of the piece, as long in proportion as `share`."""

    share: float
    statements: tuple[Statement, ...]
    """Of this section."""

    whole: tuple[Statement, ...]
    """Of the whole piece, where there are several sections."""


def parts_of(items: Sequence[Item]) -> list[TextPart]:
    """The sections of the piece that a text speaks of, in order; one where it speaks of the whole alone."""
    clauses = _clauses(items)
    if all(clause.place is None for clause in clauses):
        return [_part(clauses)]
    return _sections(_with_first_section(clauses))


def _part(clauses: Sequence[Clause], *, whole: Sequence[Clause] = (), share: float = 1.0) -> TextPart:
    return TextPart(
        share=share,
        statements=tuple(s for clause in clauses for s in clause.statements),
        whole=tuple(s for clause in whole for s in clause.statements),
    )


def _with_first_section(clauses: list[Clause]) -> list[Clause]:
    """Where "then" comes first, what stands before it is the first section."""
    placed = [i for i, clause in enumerate(clauses) if clause.place is not None]
    if clauses[placed[0]].place != "next" or placed[0] == 0:
        return clauses
    first = _part(clauses[: placed[0]])
    return [Clause(place="start", statements=first.statements), *clauses[placed[0] :]]


def _sections(clauses: list[Clause]) -> list[TextPart]:
    """Sections from clauses of which at least one has a place; clauses without one belong to the one before, or to all."""
    whole: list[Clause] = []
    groups: list[list[Clause]] = []
    for clause in clauses:
        if clause.place is not None:
            groups.append([clause])
        elif groups:
            groups[-1].append(clause)
        else:
            whole.append(clause)
    if groups[0][0].place not in ("start", "next"):
        groups.insert(0, [])
    if groups[-1] and groups[-1][0].place in ("start", "middle"):
        groups.append([])
    shares = [_END_SHARE if group and group[0].place == "end" else 1.0 for group in groups]
    return [_part(group, whole=whole, share=share) for group, share in zip(groups, shares, strict=True)]


def _clauses(items: Sequence[Item]) -> list[Clause]:
    """All clauses. Where several sentences, or parts between semicolons, have a place each, it is that of all their clauses."""
    sentences: list[list[Item]] = [[]]
    for item in items:
        if item.separates and item.tokens[0] in STRONG:
            sentences.append([])
        else:
            sentences[-1].append(item)
    read = [_sentence(sentence) for sentence in sentences]
    if sum(_only_place(clauses) is not None for clauses in read) > 1:
        read = [_moved_forward(clauses) for clauses in read]
    return [clause for clauses in read for clause in clauses]


def _only_place(clauses: Sequence[Clause]) -> Place | None:
    """The place that a sentence speaks of, None where it names none or several."""
    places = {clause.place for clause in clauses} - {None}
    return next(iter(places)) if len(places) == 1 else None


def _moved_forward(clauses: list[Clause]) -> list[Clause]:
    """A sentence whose only place is named by its first clause, so that all of it belongs there."""
    place = _only_place(clauses)
    return clauses if place is None else [replace(c, place=place if i == 0 else None) for i, c in enumerate(clauses)]


def _sentence(items: Sequence[Item]) -> list[Clause]:
    """Clauses end at marks and before "then"; where a clause has a place, "with" and "but" end one too."""
    clauses: list[Clause] = []
    run: list[Item] = []
    started = False
    for item in items:
        if item.separates or _opens(item, run, started=started):
            clauses += _clauses_of_run(run)
            run = []
        if not item.separates:
            run.append(item)
            started = started or item.kind == "link"
    return [*clauses, *_clauses_of_run(run)]


def _opens(item: Item, run: list[Item], *, started: bool) -> bool:
    """Whether an item begins a clause where no mark stands: "then" does, 再 and 后 only behind another link such as 先."""
    if item.phrase is None or item.phrase.place != "next" or not run:
        return False
    return started or item.tokens not in {("再",), ("后",)}


def _clauses_of_run(run: list[Item]) -> list[Clause]:
    """Of items without a mark: one clause, or where one has a place, clauses that each begin with a "with" or "but"."""
    if any(item.kind == "link" for item in run):
        breaks = [i for i, item in enumerate(run) if item.kind == "break"]
        edges = [0, *breaks, len(run)]
        return [_clause(run[a:b]) for a, b in zip(edges, edges[1:], strict=False) if b > a]
    return [_clause(run)] if run else []


def _clause(run: list[Item]) -> Clause:
    places = (item.phrase.place for item in run if item.phrase is not None and item.phrase.place is not None)
    return Clause(place=next(places, None), statements=tuple(_statements(run)))


def _statements(run: list[Item]) -> list[Statement]:
    """What the items of a clause ask for, each with the grades before and behind it."""
    statements: list[Statement] = []
    factor, last, grows = 1.0, 1.0, False
    grading: Tokens = ()
    for i, item in enumerate(run):
        phrase = item.phrase
        if phrase is not None and phrase.kind == "grade":
            factor, grading = factor * phrase.factor, grading + item.tokens
        elif item.kind == "grows":
            grows = True
        elif item.kind == "filler":
            if item.tokens in _GRADE_GOES_ON and last < 0:
                factor = last
        elif item.kind in (None, "word", "scene", "course", "instrument"):
            behind = run[i + 1].phrase if i + 1 < len(run) else None
            if behind is not None and behind.kind == "suffix grade":
                factor *= behind.factor
            statements.append(_statement(item, factor, grading, grows=grows))
            last, factor, grows, grading = factor, 1.0, False, ()
    return statements


def _statement(item: Item, factor: float, grading: Tokens, *, grows: bool) -> Statement:
    """What one item asks for.

    Args:
        factor: what the grades round it multiply its levels by.
        grading: the words of the grades before it.
        grows: whether a "more and more" stands before it.
    """
    phrase = item.phrase
    shape: Shape | None = "rising" if grows else None
    if phrase is None or (phrase.kind == "scene" and factor < 0):  # what is no storm is not thereby calm
        words = item.tokens if phrase is None else grading + item.tokens
        return Statement(words=words, source="unknown", factor=factor, shape=shape)
    if phrase.kind == "instrument":
        return Statement(words=item.tokens, source="instrument")
    if phrase.kind == "course":
        return Statement(words=item.tokens, source="word", levels=phrase.levels, shape=phrase.shape)
    levels = {name: limited(level * factor) for name, level in phrase.levels.items()}
    source: Source = "word" if phrase.kind == "word" else "scene"
    return Statement(words=grading + item.tokens, source=source, levels=levels, shape=shape)
