"""English sentences of captions: sayings in a list, round a noun, or behind a verb."""

from collections.abc import Sequence

import numpy as np

from meloctl.text.sayings import Saying, pick

_NOUNS = ("piece", "tune", "track", "piece of music", "passage", "instrumental")
_OPENERS = (
    "",
    "",
    "",
    "write ",
    "compose ",
    "please write ",
    "give me ",
    "I want ",
    "I'd like ",
    "could you write ",
    "play ",
)
_SUBJECTS = (
    "the music is ",
    "it is ",
    "it should be ",
    "make it ",
    "I want it ",
    "the piece is ",
    "it sounds ",
    "keep it ",
)
_ABOUT = (" about ", " that sounds like ", " evoking ", " inspired by ", " like ", " with the feeling of ")
_SECTIONS = {
    2: (
        (("first ", ""), ("then ", "")),
        (("", " at first"), ("", " later")),
        (("opening: ", ""), ("ending: ", "")),
        (("", " in the first half"), ("", " in the second half")),
    ),
    3: (
        (("first ", ""), ("then ", ""), ("finally ", "")),
        (("", " at the start"), ("", " in the middle"), ("", " at the end")),
        (("opening: ", ""), ("middle: ", ""), ("ending: ", "")),
        (("to begin with, ", ""), ("halfway through, ", ""), ("in closing, ", "")),
    ),
    4: (
        (("first ", ""), ("then ", ""), ("after that ", ""), ("in the end ", "")),
        tuple(("", f" in the {nth} quarter") for nth in ("first", "second", "third", "last")),
    ),
}
"""What stands before and behind each section's words, by number of sections. The first of each says all sections in order."""


def english_sentence(sayings: Sequence[Saying], random: np.random.Generator) -> str:
    """One sentence that says all of `sayings`."""
    direct = [s for s in sayings if s.kind in ("gradable", "adjective", "predicative")]
    draw = random.random()
    if draw < 0.4 and len(sayings) > 0 and not (len(sayings) == 1 and sayings[0].kind == "course"):
        text = _listed(sayings, random)
    elif draw < 0.65 and direct:
        text = _predicate(sayings, random)
    else:
        text = _round_a_noun(sayings, random)
    return _finished(text, random)


def english_course(sections: Sequence[Sequence[Saying]], random: np.random.Generator) -> str:
    """What is said of each section, in order; sections with nothing said are left out."""
    styles = _SECTIONS[len(sections)]
    whole = all(len(sayings) > 0 for sayings in sections)
    style = pick(styles if whole else styles[1:], random)
    said = [
        before + _joined([s.text for s in sayings], random) + behind
        for sayings, (before, behind) in zip(sections, style, strict=True)
        if sayings
    ]
    return ("; " if any(" and " in part or ", " in part for part in said) or ":" in style[0][0] else ", ").join(said)


def english_fact(kind: str, value: str) -> str:
    """A named fact of a piece as a phrase: its instruments, key, length in bars or time signature."""
    frames = {"instruments": "for {}", "key": "in {}", "bars": "{} bars long", "meter": "in {} time"}
    return frames[kind].format(value)


def _listed(sayings: Sequence[Saying], random: np.random.Generator) -> str:
    courses = [s.text for s in sayings if s.kind == "course"]
    texts = [s.text for s in sayings if s.kind != "course"]
    random.shuffle(texts)
    separator = pick((", ", ", ", ", ", "; "), random)
    return separator.join([*texts, *courses])


def _predicate(sayings: Sequence[Saying], random: np.random.Generator) -> str:
    direct = [s.text for s in sayings if s.kind in ("gradable", "adjective", "predicative")]
    random.shuffle(direct)
    text = pick(_SUBJECTS, random) + _joined(direct, random)
    for saying in sayings:
        if saying.kind == "scene":
            text += f", like {saying.text}"
    return text + _behind(sayings, random, comma=True)


def _round_a_noun(sayings: Sequence[Saying], random: np.random.Generator) -> str:
    before = [s.text for s in sayings if s.kind in ("gradable", "adjective")]
    random.shuffle(before)
    before, rest = before[:3], before[3:]
    words = " and ".join(before) if len(before) == 2 and random.random() < 0.4 else ", ".join(before)
    form = random.random()
    opener = pick(_OPENERS, random)
    if form < 0.25:
        noun = f"{words} music".strip()
    elif form < 0.35 and before:
        noun = f"something {words}"
    else:
        noun = _with_article(f"{words} {pick(_NOUNS, random)}".strip())
    for saying in sayings:
        if saying.kind == "scene":
            noun += pick(_ABOUT, random) + saying.text
    predicative = [s.text for s in sayings if s.kind == "predicative"]
    return opener + noun + _behind(sayings, random) + "".join(f", {text}" for text in [*rest, *predicative])


def _behind(sayings: Sequence[Saying], random: np.random.Generator, *, comma: bool = False) -> str:
    """Phrases, facts, terms and courses as they follow a noun or a predicate."""
    phrases = [s.text for s in sayings if s.kind == "phrase"]
    random.shuffle(phrases)
    facts = [s.text for s in sayings if s.kind == "fact"]
    others = [s.text for s in sayings if s.kind == "term"] + [s.text for s in sayings if s.kind == "course"]
    comma = comma or any(s.kind == "scene" for s in sayings)
    text = f"{',' if comma else ''} {', '.join(facts)}" if facts else ""
    for i, phrase in enumerate(phrases):
        text += f"{', ' if comma or facts or i else ' '}{phrase}"
    return text + "".join(f", {other}" for other in others)


def _joined(texts: Sequence[str], random: np.random.Generator) -> str:
    if len(texts) < 2:
        return "".join(texts)
    if random.random() < 0.2:
        return ", ".join(texts)
    return ", ".join(texts[:-1]) + " and " + texts[-1]


def _with_article(noun: str) -> str:
    silent = noun.startswith(("hour", "honest"))
    vowel = noun[0].lower() in "aeio" or (noun[0] == "u" and not noun.startswith(("uni", "use")))
    return f"{'an' if (vowel and not noun.startswith('one')) or silent else 'a'} {noun}"


def _finished(text: str, random: np.random.Generator) -> str:
    if random.random() < 0.5:
        text = text[0].upper() + text[1:]
    if text.lower().startswith("could"):
        return text + "?"
    return text + ("." if random.random() < 0.3 else "")
