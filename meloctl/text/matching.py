"""A text as the phrases that it is made of: the split that leaves the fewest tokens unexplained, and then has the fewest phrases.

Chinese needs no word list of its own: what lies between known phrases is unknown. A single character that is known (高, 先)
counts only where no unknown character touches it, so that 高尔夫 is not high and 先生 is not first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from meloctl.text.phrases import Phrase, PhraseKind
from meloctl.text.text_tokens import SEPARATORS, Tokens, is_han

_COST = {"filler": 0.15, "word": 0.10, "scene": 0.10, "course": 0.10}
_COST_ELSE = 0.12
_STEM_COST = 0.3
"""Of a word that is known only without its ending."""

_ENDINGS = (
    ("ily", "y"),
    ("ly", ""),
    ("iest", "y"),
    ("ier", "y"),
    ("est", ""),
    ("est", "e"),
    ("er", ""),
    ("er", "e"),
    ("ies", "y"),
    ("es", ""),
    ("s", ""),
    ("ing", ""),
    ("ing", "e"),
    ("ish", ""),
    ("ness", ""),
    ("iness", "y"),
    ("y", ""),
)
"""Endings of English words, and what stands instead where the word has none."""

_SHORTEST_STEM = 3

_CONJUNCTIONS = frozenset((word,) for word in ("and", "or", "和", "与", "又", "且", "或", "也")) | {
    tuple("而且"),
    tuple("并且"),
    tuple("或者"),
}

_SMALL = frozenset("的了着是在和与像如把被我你他她它们一首段支请写要来给")
"""Single characters that stay small words whatever touches them."""

_STANDING_ALONE = frozenset("很不")
"""Single characters that grade what follows even where that is unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A run of tokens: a phrase; without one, a mark that separates, or tokens that no phrase explains."""

    tokens: Tokens
    phrase: Phrase | None = None

    @property
    def kind(self) -> PhraseKind | None:
        """What kind of phrase it is; None without one."""
        return None if self.phrase is None else self.phrase.kind

    @property
    def separates(self) -> bool:
        """Whether it is a mark between clauses."""
        return self.phrase is None and self.tokens[0] in SEPARATORS

    @property
    def unknown(self) -> bool:
        """Whether nothing explains it."""
        return self.phrase is None and not self.separates

    @property
    def filler(self) -> bool:
        """Whether it says nothing by itself."""
        return self.kind in ("filler", "break")


def matched(tokens: Tokens, table: Mapping[Tokens, Phrase]) -> list[Item]:
    """The items of a text, in order; unknown tokens that follow each other are one item, with the fillers between them."""
    return _joined(_without_touched(_cheapest(tokens, table)))


def _cheapest(tokens: Tokens, table: Mapping[Tokens, Phrase]) -> list[Item]:
    """The split of least cost; of equal ones that with the longer first item."""
    longest = max(map(len, table))
    best: list[tuple[float, Item | None]] = [(0.0, None)] * (len(tokens) + 1)
    for i in reversed(range(len(tokens))):
        options = [(cost + best[i + len(item.tokens)][0], item) for cost, item in _items_at(tokens, i, table, longest)]
        best[i] = min(options, key=lambda option: (option[0], -len(option[1].tokens)))
    items: list[Item] = []
    i = 0
    while (chosen := best[i][1]) is not None:
        items.append(chosen)
        i += len(chosen.tokens)
    return items


def _items_at(tokens: Tokens, i: int, table: Mapping[Tokens, Phrase], longest: int) -> Iterator[tuple[float, Item]]:
    """(cost, item) of each item that can begin at a token."""
    if tokens[i] in SEPARATORS:
        yield 0.0, Item(tokens=tokens[i : i + 1])
        return
    yield 1.0, Item(tokens=tokens[i : i + 1])
    for length in range(1, min(longest, len(tokens) - i) + 1):
        run = tokens[i : i + length]
        if phrase := table.get(run):
            yield _COST.get(phrase.kind, _COST_ELSE), Item(tokens=run, phrase=phrase)
    if phrase := _by_stem(tokens[i], table):
        yield _STEM_COST, Item(tokens=tokens[i : i + 1], phrase=phrase)


def _by_stem(token: str, table: Mapping[Tokens, Phrase]) -> Phrase | None:
    """What an English word means without its ending: "stormy", "softest", "slowly"."""
    if (token,) in table or not token.isascii():
        return None
    for ending, instead in _ENDINGS:
        stem = token.removesuffix(ending)
        if stem == token or len(stem) < _SHORTEST_STEM:
            continue
        doubled = stem[:-1] if stem[-1] == stem[-2] else stem
        for form in (stem + instead, doubled):
            phrase = table.get((form,))
            if phrase is not None and phrase.kind in ("word", "scene"):
                return phrase
    return None


def _without_touched(items: list[Item]) -> list[Item]:
    """Known single characters that touch an unknown one become unknown, until none is left."""
    items, changed = list(items), True
    links = sum(item.kind == "link" for item in items)
    while changed:
        changed = False
        for i, item in enumerate(items):
            if item.phrase is None or len(item.tokens) > 1 or not is_han(item.tokens[0]):
                continue
            before, behind = _touches_unknown(items, i)
            begins = item.kind == "link" and links > 1 and (i == 0 or items[i - 1].separates)
            if item.tokens[0] in _SMALL or begins:
                stays = True
            elif item.tokens[0] in _STANDING_ALONE:
                stays = not (before and behind)
            else:
                stays = not (before or behind)
            if not stays:
                items[i], changed = Item(tokens=item.tokens), True
    return items


def _touches_unknown(items: list[Item], i: int) -> tuple[bool, bool]:
    """Whether an unknown Chinese character stands directly before an item, and directly behind it."""
    before = items[i - 1] if i > 0 else None
    behind = items[i + 1] if i + 1 < len(items) else None
    return (
        before is not None and before.unknown and is_han(before.tokens[-1]),
        behind is not None and behind.unknown and is_han(behind.tokens[0]),
    )


def _joined(items: list[Item]) -> list[Item]:
    """Unknown items that follow each other as one, with fillers between them, but not across an "and"."""
    joined: list[Item] = []
    for item in items:
        first = len(joined)
        while first and joined[first - 1].filler and joined[first - 1].tokens not in _CONJUNCTIONS:
            first -= 1
        if item.unknown and first and joined[first - 1].unknown:
            run = [*joined[first - 1 :], item]
            joined[first - 1 :] = [Item(tokens=sum((i.tokens for i in run), ()))]
        else:
            joined.append(item)
    return joined
