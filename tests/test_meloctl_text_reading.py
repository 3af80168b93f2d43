"""Readings: wants, words understood and not, sections over bars; nothing is made of texts of other things."""

import numpy as np
import pytest
from irrelevant_texts import CHINESE, ENGLISH

from analysis.errors import MeloError
from meloctl.rows.attributes import ATTRIBUTES
from meloctl.text.lexicon import all_words
from meloctl.text.text_reading import reader
from meloctl.text.texts_over_bars import course_of_texts

TEMPO, DENSITY, REGISTER, LOUDNESS, ARTICULATION, LEAPS = range(6)


@pytest.fixture(scope="module")
def known():
    return reader()


@pytest.mark.parametrize("text", ["暴风雨", "a thunderstorm", "暴風雨", "A Thunderstorm!"])
def test_a_storm_in_both_languages(known, text):
    wants = known.read(text).wants
    assert wants[REGISTER] < -1
    assert min(wants[[DENSITY, LOUDNESS, ARTICULATION]]) > 1
    assert np.isnan(wants[LEAPS])


@pytest.mark.parametrize("text", ["流星雨", "a meteor shower"])
def test_shooting_stars_in_both_languages(known, text):
    wants = known.read(text).wants
    assert min(wants[[TEMPO, REGISTER, LEAPS]]) > 1
    assert wants[DENSITY] < -1


def test_what_was_understood_is_told_in_one_line(known):
    reading = known.read("purple, fast, 暴风雨")
    assert reading.line() == "understood: fast, low, dense, sustained, very loud (暴风雨); not understood: purple"
    assert reading.not_understood == ("purple",)
    assert reading.says_something
    assert known.read("slow, then fast").line() == "understood: slow; then fast"


def test_words_win_over_scenes(known):
    reading = known.read("a quiet thunderstorm")
    assert reading.wants[LOUDNESS] == -1.2
    assert reading.wants[DENSITY] > 0
    assert np.isnan(reading.wants[TEMPO])
    assert reading.line() == "understood: soft (quiet), low, dense, sustained (thunderstorm)"


def test_words_that_disagree_meet_in_the_middle(known):
    assert known.read("fast and slow").wants[TEMPO] == 0
    np.testing.assert_allclose(known.read("very fast, slow").wants[TEMPO], (1.2 * 1.4 - 1.2) / 2)


@pytest.mark.parametrize("text", ["very pianissimo", "very very very quiet", "非常非常非常安静"])
def test_levels_end_at_two_standard_deviations(known, text):
    assert known.read(text).wants[LOUDNESS] == -2


def test_likeness_says_nothing_faint():
    unseen = reader(splits=("train",))
    texts = [word.text for word in all_words() if word.split == "test"]
    found = [(text, saying) for text in texts for saying in unseen.read(text).sections[0].understood]
    levels = [abs(level) for text, saying in found if saying.words == text for level in saying.levels.values()]
    assert len(levels) > 50
    assert min(levels) >= 0.4


def test_unseen_words_are_taken_for_what_they_are_like_and_it_is_told():
    reading = reader(splits=("train",)).read("a sluggish tune")  # sluggish stands in the test half
    assert reading.wants[TEMPO] < -0.5
    assert 'slow (taken from "sluggish")' in reading.line()


def test_all_readers_share_one_encoder_and_known_words_need_none(known, monkeypatch):
    unseen = reader(splits=("train",))
    assert unseen.encoder is known.encoder
    monkeypatch.setattr(known.encoder, "encode", lambda texts: pytest.fail(f"{texts} were encoded"))
    assert known.read("slow at first, then a thunderstorm for piano").says_something


def test_a_denied_unseen_word_turns_round():
    unseen = reader(splits=("train",))
    assert unseen.read("sluggish").wants[TEMPO] < 0 < unseen.read("not sluggish").wants[TEMPO]


def test_texts_of_other_things_say_nothing(known):
    taken = [text for text in ENGLISH + CHINESE if known.read(text).says_something]
    assert len(ENGLISH + CHINESE) >= 60
    assert len(taken) <= 4, taken
    for text in set(ENGLISH + CHINESE) - set(taken):
        reading = known.read(text)
        assert np.isnan(reading.wants).all()
        assert reading.line().startswith("understood: nothing; not understood: ")


@pytest.mark.parametrize(
    ("text", "instrument"),
    [("a sad piano", "piano"), ("悲伤的小提琴", "小提琴"), ("in C minor for strings", "strings")],
)
def test_an_instrument_is_named_as_not_understood(known, text, instrument):
    reading = known.read(text)
    assert instrument in reading.not_understood
    assert [ATTRIBUTES[a] for a in np.flatnonzero(~np.isnan(reading.wants))] == ["mode"]


def test_filler_alone_says_nothing(known):
    reading = known.read("please write a piece of music")
    assert not reading.says_something
    assert reading.line() == "understood: nothing"


def test_the_shipped_head_is_that_of_the_default_encoder(known):
    assert known._head.encoder == known.encoder.fingerprint
    assert 0.4 < known._head.threshold < 0.9


def test_sections_over_bars(known):
    wants = known.read("calm at first, then a thunderstorm").over_bars(8)
    assert wants.shape == (8, len(ATTRIBUTES))
    assert (wants[:4, LOUDNESS] < -1).all()
    assert (wants[4:, LOUDNESS] > 1).all()
    assert np.isnan(wants[:4, REGISTER]).all()


def test_a_movement_over_bars(known):
    reading = known.read("a slow piece, getting louder")
    np.testing.assert_allclose(reading.over_bars(5)[:, LOUDNESS], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(reading.over_bars(5)[:, TEMPO], -1.2)
    assert np.isnan(reading.wants[LOUDNESS])
    assert reading.line() == "understood: slow, more and more loud (getting louder)"
    np.testing.assert_allclose(known.read("quieter in the middle").over_bars(5)[:, LOUDNESS], [1, 0, -1, 0, 1])
    assert reading.over_bars(1)[0, LOUDNESS] == 0


def test_the_mean_over_sections_is_weighted(known):
    np.testing.assert_allclose(known.read("soft with a loud ending").wants[LOUDNESS], (2 * -1.2 + 1.2) / 3)


@pytest.mark.parametrize("bars", [1, 2, 3, 7])
def test_more_sections_than_bars(known, bars):
    assert known.read("first slow then fast, then loud, finally soft").over_bars(bars).shape == (bars, len(ATTRIBUTES))


@pytest.mark.parametrize("text", ["", "   ", "12345", "a" * 10_000, "calm\x07"])
def test_what_is_no_text_is_refused(known, text):
    with pytest.raises(MeloError):
        known.read(text)


def test_texts_over_bars(known):
    course = course_of_texts(["17: a thunderstorm", "calm"], 32, known)
    assert course.wants.shape == (32, len(ATTRIBUTES))
    assert (course.wants[:16, LOUDNESS] < -1).all()
    assert (course.wants[16:, LOUDNESS] > 1).all()
    assert [text.bar for text in course.texts] == [1, 17]
    assert course.lines[1] == "from bar 17: understood: low, dense, sustained, very loud (thunderstorm)"
    np.testing.assert_allclose(
        course.vectors(known.encoder), known.encoder.encode(["calm", "a thunderstorm"]), atol=1e-5
    )
    assert list(course.text_of_bars) == [0] * 16 + [1] * 16
    assert course_of_texts(["calm"], 4, known).lines == [known.read("calm").line()]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["calm", "33: storm"], "text '33: storm': bar 33 is not in the piece; give bars 1 to 32"),
        (["calm", "0: storm"], "bar 0 is not in the piece"),
        (["calm", "1: storm"], "two texts begin at bar 1; give the second a bar of its own, as in '9: storm'"),
        (["calm", "storm"], "two texts begin at bar 1"),
        (["5: calm", "5: storm", "slow"], "two texts begin at bar 5"),
        (["2: storm"], "no text says how the piece begins"),
        (["calm", "17:"], "the text is empty"),
        (["calm", "17: 18"], "has no letters"),
    ],
)
def test_mistakes_in_texts_over_bars(known, texts, message):
    with pytest.raises(MeloError, match=message):
        course_of_texts(texts, 32, known)
