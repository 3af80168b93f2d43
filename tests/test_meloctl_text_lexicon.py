"""The lexicon and the scenes: enough words on each side, tests on words that no training caption holds, sane levels."""

import re
from collections import Counter
from functools import cache

import pytest

from analysis.errors import MeloError
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.lexicon import LANGUAGES, Lexicon, all_words, graders, lexicon, words_for
from meloctl.text.scenes import SceneTable, all_scenes, scenes_of

SHARED_ENGLISH = """
a an the in of with at on to from for and or as is its it up all no not by into some than without very each every one next
neither nor played tempo pace beat beats pulse register note notes range octave octaves pitch volume dynamics texture melody
line lines tone tones key mode chord chords voice voices part parts instrument instruments music sound motion interval intervals
orchestra ensemble keyboard clef
"""
SHARED_CHINESE = """
节奏 速度 拍子 节拍 音符 织体 音区 音域 音高 旋律 声音 音量 力度 音程 情绪 心情 气氛 色彩 调性 乐器 声部 编制 很 非常 的 一个
每个音 演奏 音与音 像
"""
SHARED = {"en": set(SHARED_ENGLISH.split()), "zh": SHARED_CHINESE.split()}
"""Words that say no side of an attribute, so that train and test phrases may share them; longer ones first."""

ENDINGS = ("ing", "ness", "ful", "ly", "ed", "es", "er", "s", "y", "e")


def stem(word):
    """A word without its inflection, as far as its ending shows it."""
    return next((word[: -len(e)] for e in ENDINGS if word.endswith(e) and len(word) - len(e) >= 3), word)


def cores(text, language):
    """What distinguishes a phrase: stems of its English words, pairs of its Chinese characters."""
    if language == "en":
        return {stem(word) for word in re.findall(r"[a-z']+", text.lower()) if word not in SHARED["en"]}
    for shared in SHARED["zh"]:
        text = text.replace(shared, " ")
    pieces = text.split()
    return {p for p in pieces if p.isascii() or len(p) == 1} | {
        p[i : i + 2] for p in pieces if not p.isascii() for i in range(len(p) - 1)
    }


def holds(text, part, language):
    """Whether a text holds another as a whole word or phrase; in Chinese as a substring."""
    if language == "zh" and not part.isascii():
        return part in text
    return spaced(part) in spaced(text)


@cache
def spaced(text):
    """Words between single spaces."""
    return f" {' '.join(re.findall(r'[^ ,;.:-]+', text.lower()))} "


def texts(split):
    """(language, attribute or shape, text) of every word, course phrase and scene of a split."""
    yield from ((w.language, w.attribute, w.text) for w in all_words() if w.split == split)
    yield from ((g.language, g.attribute, t) for g in lexicon().courses for t in getattr(g, split))
    yield from (
        (language, "scene", t) for s in scenes_of(split) for language in LANGUAGES for t in s.phrasings(language)
    )


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("side", ["high", "low"])
def test_each_side_has_many_words(attribute, language, side):
    train, test = (words_for(attribute, side, language, split) for split in ("train", "test"))
    assert len(train) >= 40
    assert len(train) + len(test) >= 50
    assert 0.1 <= len(test) / (len(train) + len(test)) <= 0.3
    assert {w.kind for w in train} == {"gradable", "adjective", "phrase", "term"}
    assert all(w.level > 0 if side == "high" else w.level < 0 for w in (*train, *test))
    assert any(w.kind == "gradable" for w in test)


def test_no_word_stands_for_two_things():
    counts = Counter((w.language, w.text.lower()) for w in all_words())
    assert [text for text, count in counts.items() if count > 1] == []


def test_terms_of_both_languages_are_of_one_split():
    splits = {}
    for word in all_words():
        assert splits.setdefault(word.text.lower(), word.split) == word.split, word.text


def test_test_words_are_no_inflections_of_training_words():
    train = {}
    for word in all_words():
        if word.split == "train":
            for core in cores(word.text, word.language):
                train.setdefault((word.language, word.attribute, core), word.text)
    shared = [
        (word.text, train[word.language, word.attribute, core])
        for word in all_words()
        if word.split == "test"
        for core in cores(word.text, word.language)
        if (word.language, word.attribute, core) in train
    ]
    assert shared == []


def test_an_inflection_is_found():
    assert cores("with slower beats", "en") & cores("slow", "en")
    assert not cores("at a slow tempo", "en") & cores("at a rapid tempo", "en")
    assert cores("飞快的速度", "zh") & cores("音符飞快", "zh")


def test_test_texts_stand_in_no_training_text():
    train = list(texts("train"))
    inside = [
        (text, other)
        for language, _, text in texts("test")
        for own, _, other in train
        if own == language and holds(other, text, language)
    ]
    assert inside == []


def test_training_words_stand_in_no_test_word_of_their_attribute():
    train = [(w.language, w.attribute, w.text) for w in all_words() if w.split == "train"]
    inside = [
        (other, text)
        for language, attribute, text in texts("test")
        for own, its, other in train
        if (own, its) == (language, attribute) and holds(text, other, language)
    ]
    assert inside == []


def test_scenes():
    scenes = all_scenes()
    assert len(scenes) >= 180
    assert 0.15 <= len(scenes_of("test")) / len(scenes) <= 0.25
    names = Counter(text for scene in scenes for text in (*scene.en, *scene.zh))
    assert [text for text, count in names.items() if count > 1] == []
    for scene in scenes:
        assert len(scene.en) >= 2 <= len(scene.zh)
        assert all(text.isascii() or "é" in text for text in scene.en)
        assert all(re.search("[一-鿿]", text) for text in scene.zh)


def test_scenes_contradict_no_word_that_stands_in_them():
    # "a dense forest" says "dense": a scene implies what the words in it imply, or they mislead
    wrong = [
        (text, word.text)
        for scene in all_scenes()
        for word in all_words()
        if word.side != "middle" and (len(word.text) > 1)
        for text in scene.phrasings(word.language)
        if holds(text, word.text, word.language) and not scene.levels.get(word.attribute, 0) * word.level > 0
    ]
    assert wrong == []


def test_the_scenes_of_the_founding_document():
    levels = {text: scene.levels for scene in all_scenes() for text in scene.zh}
    assert {name: level > 0 for name, level in levels["流星雨"].items()} == {
        "tempo": True,
        "register": True,
        "leaps": True,
        "density": False,
    }
    assert {name: level > 0 for name, level in levels["暴风雨"].items()} == {
        "register": False,
        "density": True,
        "articulation": True,
        "loudness": True,
    }


def test_graders_hold_the_word():
    for language in LANGUAGES:
        assert all(grader.text.count("{}") == 1 for grader in graders(language))
        assert min(g.factor for g in graders(language)) < 0 < 1 < max(g.factor for g in graders(language))


def test_an_unknown_attribute_is_refused():
    data = lexicon().to_json()
    data["words"][0]["attribute"] = "taste"
    with pytest.raises(MeloError, match="attribute 'taste' is none of tempo"):
        Lexicon.from_json(data)
    table = {"split": "train", "en": ["a", "b"], "zh": ["甲", "乙"], "levels": {"x": 1}}
    with pytest.raises(MeloError, match="scene 'a': attribute 'x' is none of tempo"):
        SceneTable.from_json({"format": "meloctl.scenes/1", "scenes": [table]})
