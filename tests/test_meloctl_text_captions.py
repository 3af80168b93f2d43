"""Captions: what a text says is what it is said to want, in both languages, and the same seed gives the same text."""

import re

import numpy as np
import pytest

from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.captions import caption
from meloctl.text.courses import course_saying, shape_levels
from meloctl.text.described_music import music_caption, random_caption, remarkable, section_means, told_course
from meloctl.text.facts import NamedFacts, fact_sayings
from meloctl.text.lexicon import LANGUAGES, all_words
from meloctl.text.sayings import word_for
from meloctl.text.scenes import agreeing_scenes, all_scenes, scenes_of

A = len(ATTRIBUTES)
NAN = float("nan")
SPLITS = ("train", "test")


def levels(**given):
    """(A,) levels by name, NaN for the others."""
    return np.array([given.get(name, NAN) for name in ATTRIBUTES])


def drawn(count=200):
    """(language, split, caption) of many random captions."""
    for language in LANGUAGES:
        for split in SPLITS:
            random = np.random.default_rng(5)
            for _ in range(count):
                yield language, split, random_caption(language, split, random)


def words_in(text, language):
    """The words of the lexicon that stand in a text; in Chinese those of two characters or more."""
    spaced = f" {' '.join(re.findall(r'[^ ,;.:·,、;。]+', text.lower()))} "
    for word in all_words():
        if word.language != language:
            continue
        if language == "en" or word.text.isascii():
            if f" {word.text.lower()} " in spaced:
                yield word
        elif len(word.text) > 1 and word.text in text:
            yield word


def test_a_text_holds_the_words_of_its_wants_and_no_others():
    for language, _, made in drawn():
        said = [*made.sayings, *(s for section in made.section_sayings for s in section)]
        left = made.text.lower()
        for saying in sorted(said, key=lambda s: -len(s.text)):
            assert saying.text.lower() in left, (saying, made.text)
            left = left.replace(saying.text.lower(), " · ", 1)
        assert [word.text for word in words_in(left, language)] == [], made.text
        wants = {name: level for s in made.sayings for name, level in s.levels.items()}
        np.testing.assert_array_equal(made.wants, levels(**wants))


def test_sections_want_what_they_say():
    told = [made for *_, made in drawn() if made.section_sayings]
    assert len(told) > 30
    for made in told:
        for row, section in zip(made.course, made.section_sayings, strict=True):
            np.testing.assert_array_equal(row, levels(**{n: v for s in section for n, v in s.levels.items()}))
        assert not (~np.isnan(made.wants) & ~np.isnan(made.course).all(axis=0)).any()


def test_captions_are_of_their_split():
    own = {split: {w.text.lower() for w in all_words() if w.split == split} for split in SPLITS}
    scenes = {split: {t for s in scenes_of(split) for t in (*s.en, *s.zh)} for split in SPLITS}
    for _, split, made in drawn(100):
        other = SPLITS[1 - SPLITS.index(split)]
        for saying in made.sayings:
            assert saying.text.lower() not in own[other]
            assert saying.text not in scenes[other]


def test_one_seed_gives_one_text():
    for language in LANGUAGES:
        texts = [
            [random_caption(language, "train", np.random.default_rng(s)).text for s in range(40)] for _ in range(2)
        ]
        assert texts[0] == texts[1]
        assert len(set(texts[0])) > 38


def test_captions_are_varied():
    for language in LANGUAGES:
        random = np.random.default_rng(1)
        asked = levels(tempo=1.2, loudness=-1.2)
        texts = {caption(asked, language=language, split="train", random=random).text for _ in range(500)}
        assert len(texts) > 450


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_lie_on_the_side_of_the_levels(language):
    random = np.random.default_rng(2)
    asked = levels(tempo=1.3, density=-1.3, mode=0.8)
    for _ in range(200):
        made = caption(asked, language=language, split="train", random=random)
        said = ~np.isnan(made.wants) & ~np.isnan(asked)
        assert (np.sign(made.wants) == np.sign(asked))[said].all()
        assert said.any()
        assert np.isnan(made.wants[np.isnan(asked)]).all()


def test_strong_levels_get_strong_words():
    means = []
    for level in (0.5, 1.2, 2.0):
        random = np.random.default_rng(3)
        made = [caption(levels(loudness=level), language="en", split="train", random=random) for _ in range(300)]
        means.append(np.nanmean([c.wants[ATTRIBUTES.index("loudness")] for c in made]))
    assert means[0] + 0.3 < means[1] < means[2] - 0.3


def test_a_negation_says_the_other_side():
    random = np.random.default_rng(0)
    drawn = [word_for("tempo", 0.6, "en", "train", random) for _ in range(300)]
    denied = [word for word in drawn if word.text.startswith("not ")]
    assert len(denied) > 20
    assert all(word.levels["tempo"] > 0 for word in denied)
    assert "not at all slow" in {word.text for word in denied}


def test_small_levels_are_moderate():
    random = np.random.default_rng(0)
    texts = {
        caption(levels(tempo=0.1), language="en", split="train", random=random).text.lower().rstrip(".")
        for _ in range(60)
    }
    assert any("moderat" in text or "andante" in text or "mid-tempo" in text for text in texts)
    assert caption(levels(mode=0.1), language="en", split="train", random=random).text == ""


def test_a_scene_agrees_with_the_music():
    storm = levels(register=-1.0, density=1.0, articulation=0.8, loudness=1.5, tempo=0.1)
    names = {scene.zh[0] for scene in agreeing_scenes(storm, "train")}
    assert "暴风雨" in names
    assert not names & {
        "流星雨",
        "摇篮曲",
        "葬礼进行曲",
        "飓风",
    }  # a hurricane is fast too, and this tempo is no more than usual
    assert agreeing_scenes(levels(), "train") == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_scene_can_be_named(language):
    for scene in all_scenes():
        made = caption(levels(), language=language, split=scene.split, random=np.random.default_rng(1), scene=scene)
        assert any(text.lower() in made.text.lower() for text in scene.phrasings(language))
        np.testing.assert_array_equal(made.wants, levels(**scene.levels))


def test_shapes():
    np.testing.assert_allclose(shape_levels("rising", 3), [-1.2, 0, 1.2])
    np.testing.assert_allclose(shape_levels("falling", 2), [1.2, -1.2])
    np.testing.assert_allclose(shape_levels("arch", 3), [-1.2, 1.2, -1.2])
    np.testing.assert_allclose(shape_levels("valley", 4), [1.2, -1.2, -1.2, 1.2])


def test_levels_that_jump_are_no_shape():
    random, course = np.random.default_rng(0), np.full((4, A), NAN)
    course[:, 0] = [1.2, -1.2, 1.2, -1.2]
    assert [course_saying(course, "en", "train", random) for _ in range(30)] == [None] * 30
    course[:, 0] = [-0.5, -0.1, 0.2, 0.6]
    told = [told for _ in range(30) if (told := course_saying(course, "en", "train", random)) is not None]
    assert len(told) > 10
    for one in told:
        np.testing.assert_array_equal(one.course_SA[:, 0], shape_levels("rising", 4))


def test_a_course_over_bars():
    course = np.full((2, A), NAN)
    course[:, ATTRIBUTES.index("loudness")] = [-1.2, 1.2]
    random = np.random.default_rng(0)
    told = [
        caption(levels(tempo=1.2), language="en", split="train", random=random, course_SA=course) for _ in range(30)
    ]
    whole = [c for c in told if c.course is not None and not c.section_sayings]
    assert whole
    for made in whole:
        bars = made.over_bars(5)
        np.testing.assert_array_equal(bars[:, ATTRIBUTES.index("loudness")], [-1.2, -1.2, -1.2, 1.2, 1.2])
        np.testing.assert_array_equal(bars[:, ATTRIBUTES.index("tempo")], np.full(5, made.wants[0]))


def test_sections_of_measured_bars():
    bars = np.full((5, A), NAN)
    bars[:, 1] = [0, 0, 2, 4, 4]
    bars[0, 0] = 1.0
    means = section_means(bars, 2)  # bars 0 and 1; 2 to 4
    np.testing.assert_allclose(means[:, 1], [0, 10 / 3])
    np.testing.assert_allclose(means[:, 0], [1, NAN])
    told = told_course(means, np.random.default_rng(0))
    np.testing.assert_allclose(told[:, 1], [0, 2])
    assert np.isnan(np.delete(told, 1, axis=1)).all()
    assert told_course(np.zeros((3, A)), np.random.default_rng(0)) is None


def test_what_is_remarkable_is_mentioned_more_often():
    random = np.random.default_rng(0)
    music = levels(tempo=1.5, density=0.1, register=-0.9)
    kept = np.array([~np.isnan(remarkable(music, random)) for _ in range(400)]).mean(axis=0)
    assert kept[0] > 0.5 < kept[2]
    assert kept[1] < 0.2
    assert (kept[3:] == 0).all()
    assert all((~np.isnan(remarkable(music, random))).any() for _ in range(50))


def test_captions_of_music_say_what_was_measured():
    random = np.random.default_rng(7)
    bars = np.zeros((16, A))
    bars[:, 0] = 1.4
    bars[:, 3] = np.linspace(-2, 2, 16)
    courses = 0
    for language in LANGUAGES:
        for _ in range(200):
            made = music_caption(bars.mean(axis=0), bars, language=language, split="train", random=random)
            assert not made.wants[0] < 0
            if made.course is not None and not np.isnan(made.course[:, 3]).all():
                courses += 1
                known = made.course[~np.isnan(made.course[:, 3]), 3]
                assert len(known) < 2 or known[0] < known[-1], made.text
    assert courses > 50


def test_a_key_says_major_or_minor():
    facts = NamedFacts(programs=(0, 40, 48, 50), tonic=9, major=False, bars=32, meter=(3, 4))
    random = np.random.default_rng(0)
    said = {s.text: s.levels for _ in range(40) for s in fact_sayings(facts, "en", set(), random)}
    assert said == {
        "for piano, violin and strings": {},
        "in A minor": {"mode": -1.0},
        "32 bars long": {},
        "in 3/4 time": {},
    }
    chinese = {s.text for _ in range(40) for s in fact_sayings(facts, "zh", {"mode"}, random)}
    assert chinese == {"用钢琴、小提琴和弦乐演奏", "共32小节", "3/4拍"}
