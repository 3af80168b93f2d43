"""Texts as phrases: the split that leaves the fewest tokens unknown; negation, grades, sections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meloctl.text.clauses import parts_of
from meloctl.text.lexicon import all_words
from meloctl.text.matching import matched
from meloctl.text.phrases import phrase_table
from meloctl.text.text_tokens import shown, tokens_of

TABLE = phrase_table(("train", "test"))


def said(text):
    """[(words, {attribute: level to one decimal}), …] of each section of a text, unknown words with None."""
    return [
        [
            (shown(s.words), None if s.source == "unknown" else {k: round(v, 1) for k, v in s.levels.items()})
            for s in part.statements
        ]
        for part in parts_of(matched(tokens_of(text), TABLE))
    ]


def test_tokens_are_words_and_single_chinese_characters():
    assert tokens_of("Very FAST-paced, 快板!") == ("very", "fast", "paced", ",", "快", "板", "!")
    assert tokens_of("child’s") == ("child's",)
    assert tokens_of("暴風雨") == tokens_of("暴风雨")
    assert tokens_of("ＬＯＵＤ") == ("loud",)  # full width
    assert shown(("暴", "风", "雨", "and", "loud")) == "暴风雨 and loud"


@given(st.text(max_size=80))
def test_the_items_of_a_text_are_its_tokens_in_order(text):
    tokens = tokens_of(text)
    assert sum((item.tokens for item in matched(tokens, TABLE)), ()) == tokens


def test_every_word_of_the_lexicon_is_understood_alone():
    lost = [w.text for w in all_words() if not any(w.attribute in (levels or {}) for _, levels in said(w.text)[0])]
    assert lost == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fast", [[("fast", {"tempo": 1.2})]]),
        ("very fast", [[("very fast", {"tempo": 1.7})]]),
        ("not fast", [[("not fast", {"tempo": -0.6})]]),
        ("not fast or loud", [[("not fast", {"tempo": -0.6}), ("loud", {"loudness": -0.6})]]),
        ("not fast, loud", [[("not fast", {"tempo": -0.6}), ("loud", {"loudness": 1.2})]]),
        ("a slow and quiet piece", [[("slow", {"tempo": -1.2}), ("quiet", {"loudness": -1.2})]]),
        ("softest", [[("softest", {"loudness": -1.2})]]),
        ("非常快", [[("非常快", {"tempo": 1.8})]]),
        ("不快", [[("不快", {"tempo": -0.6})]]),
        ("一点也不快", [[("一点也不快", {"tempo": -1.1})]]),
        ("快一点", [[("快", {"tempo": 0.6})]]),
        ("缓慢而轻柔的曲子", [[("缓慢", {"tempo": -1.2}), ("轻柔", {"loudness": -1.2})]]),
        ("purple", [[("purple", None)]]),
        ("swarms of crimson and purple", [[("swarms of crimson", None), ("purple", None)]]),
        ("吃不消", [[("吃不消", None)]]),
    ],
)
def test_what_is_said(text, expected):
    assert said(text) == expected


@pytest.mark.parametrize("text", ["高尔夫", "先生", "低碳", "慢性病", "别墅", "后天"])
def test_a_known_character_inside_an_unknown_word_says_nothing(text):
    assert said(text) == [[(text, None)]]


def test_a_longer_phrase_wins_over_its_words():
    assert said("neither fast nor slow") == [[("neither fast nor slow", {"tempo": 0.0})]]


def test_of_equal_splits_the_one_with_the_longer_first_phrase_holds():
    assert [shown(item.tokens) for item in matched(tokens_of("声音高"), TABLE)] == ["声音", "高"]  # not 声, 音高
    assert said("to begin with soft dynamics, then loud")[0][0][0] == "soft"


def test_a_scene_that_is_denied_is_not_its_opposite():
    assert said("not a thunderstorm")[0][0][1] is None


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        ("slow at first, then fast", [["slow"], ["fast"]]),
        ("slow, then fast", [["slow"], ["fast"]]),
        ("first slow then fast and loud, finally soft", [["slow"], ["fast", "loud"], ["soft"]]),
        ("先慢后快", [["慢"], ["快"]]),
        ("开头很慢,中间很快,结尾很响", [["很慢"], ["很快"], ["很响"]]),
        ("opening: slow; ending: loud, fast", [["slow"], ["loud", "fast"]]),
        ("slow and soft, high in the first half; fast in the second half", [["slow", "soft", "high"], ["fast"]]),
        ("fast with a loud ending", [[], ["loud"]]),
        ("quiet in the middle", [[], ["quiet"], []]),
        ("fast. loud.", [["fast", "loud"]]),
        ("先紫色,后快", [["紫色"], ["快"]]),
    ],
)
def test_sections(text, sections):
    assert [[words for words, _ in section] for section in said(text)] == sections


def test_what_is_said_of_the_whole_holds_in_each_section():
    parts = parts_of(matched(tokens_of("fast with a loud ending"), TABLE))
    assert [[shown(s.words) for s in part.whole] for part in parts] == [["fast"], ["fast"]]
    assert [part.share for part in parts] == [1.0, 0.5]
