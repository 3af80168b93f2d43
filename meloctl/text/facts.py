"""Named facts of a piece in captions: instruments, key, length, time signature. They say nothing of attributes, but for the
key, which says major or minor."""

from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from meloctl.text.chinese_sentences import chinese_fact
from meloctl.text.english_sentences import english_fact
from meloctl.text.lexicon import Language
from meloctl.text.sayings import Saying

_MENTIONED = 0.25
"""The share of known facts that a caption mentions."""

_KEY_LEVEL = 1.0
_TONICS = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
_CHINESE_TONICS = ("C", "升C", "D", "降E", "E", "F", "升F", "G", "降A", "A", "降B", "B")
_INSTRUMENTS = (
    (range(6), "piano", "钢琴"),
    (range(6, 7), "harpsichord", "羽管键琴"),
    (range(8, 16), "mallets", "打击旋律乐器"),
    (range(16, 21), "organ", "管风琴"),
    (range(21, 24), "accordion", "手风琴"),
    (range(24, 32), "guitar", "吉他"),
    (range(32, 40), "bass guitar", "贝斯"),
    (range(40, 41), "violin", "小提琴"),
    (range(41, 42), "viola", "中提琴"),
    (range(42, 43), "cello", "大提琴"),
    (range(43, 44), "double bass", "低音提琴"),
    (range(44, 46), "strings", "弦乐"),
    (range(46, 47), "harp", "竖琴"),
    (range(47, 48), "timpani", "定音鼓"),
    (range(48, 52), "strings", "弦乐"),
    (range(52, 55), "choir", "人声"),
    (range(56, 57), "trumpet", "小号"),
    (range(57, 58), "trombone", "长号"),
    (range(58, 59), "tuba", "大号"),
    (range(59, 60), "trumpet", "小号"),
    (range(60, 61), "French horn", "圆号"),
    (range(61, 64), "brass", "铜管"),
    (range(64, 68), "saxophone", "萨克斯"),
    (range(68, 70), "oboe", "双簧管"),
    (range(70, 71), "bassoon", "巴松管"),
    (range(71, 72), "clarinet", "单簧管"),
    (range(72, 80), "flute", "长笛"),
    (range(80, 104), "synthesizer", "合成器"),
)
"""Ranges of General MIDI programs, counted from 0, under the names that people use. Other programs are not named."""


@dataclass(frozen=True, kw_only=True)
class NamedFacts:
    """What is known of a piece beside its attributes; what is unknown is left out."""

    programs: tuple[int, ...] = ()
    """General MIDI programs, the most important first."""

    tonic: int | None = None
    """Pitch class of the key."""

    major: bool = True
    bars: int | None = None
    meter: tuple[int, int] | None = None


def random_facts(random: np.random.Generator) -> NamedFacts:
    """Facts of no piece, for captions of no piece."""
    return NamedFacts(
        programs=tuple(int(p) for p in random.choice(104, size=random.integers(1, 4), replace=False)),
        tonic=int(random.integers(12)),
        major=bool(random.integers(2)),
        bars=int(random.choice([8, 16, 24, 32, 48, 64])),
        meter=(int(random.choice([2, 3, 4])), 4),
    )


def fact_sayings(facts: NamedFacts, language: Language, taken: Set[str], random: np.random.Generator) -> list[Saying]:
    """Some of the facts, in words; those only of which `taken`, the attributes that a caption speaks of, says nothing."""
    english = language == "en"
    texts: dict[str, str] = {}
    names = _instrument_names(facts.programs, language)[:3]
    if names and "parts" not in taken:
        texts["instruments"] = _listed(names, english=english)
    if facts.tonic is not None and "mode" not in taken:
        texts["key"] = _key_name(facts.tonic, major=facts.major, english=english)
    if facts.bars is not None:
        texts["bars"] = str(facts.bars)
    if facts.meter is not None:
        texts["meter"] = f"{facts.meter[0]}/{facts.meter[1]}"
    said = {"key": {"mode": _KEY_LEVEL if facts.major else -_KEY_LEVEL}}
    phrase = english_fact if english else chinese_fact
    return [
        Saying(text=phrase(kind, text), kind="fact", levels=said.get(kind, {}))
        for kind, text in texts.items()
        if random.random() < _MENTIONED
    ]


def _instrument_names(programs: tuple[int, ...], language: Language) -> list[str]:
    """The names of programs without repeats, those that have one."""
    named = [(en if language == "en" else zh) for p in programs for numbers, en, zh in _INSTRUMENTS if p in numbers]
    return list(dict.fromkeys(named))


def _listed(names: list[str], *, english: bool) -> str:
    if not english:
        return "、".join(names[:-1]) + ("和" if len(names) > 1 else "") + names[-1]
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]


def _key_name(tonic: int, *, major: bool, english: bool) -> str:
    if english:
        return f"{_TONICS[tonic]} {'major' if major else 'minor'}"
    return f"{_CHINESE_TONICS[tonic]}{'大调' if major else '小调'}"
