import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.shown_text import escaped, json_escaped, shown_line, shown_texts

NAMES = {
    "cp932": ["ピアノ", "アコースティックギター", "主旋律", "夜に咲く花", "ﾄﾞﾗﾑ", "ベース（低音）", "イントロ～サビ", "第2楽章"],
    "gbk": ["主旋律", "钢琴", "月亮代表我的心", "电吉他", "低音贝斯", "弦乐合奏", "第一小提琴"],
    "cp950": ["主旋律", "鋼琴", "望春風", "電吉他", "低音貝斯", "絃樂合奏", "第一小提琴"],
    "cp949": ["멜로디", "피아노 왼손", "베이스 기타", "아리랑", "드럼", "현악 합주", "통기타"],
    "cp1251": ["Скрипка", "Ритм-гитара", "Соло", "Ударные", "Подмосковные вечера", "БАС", "Фортепіано"],
    "cp1252": ["Flöte", "Hörner in F", "Guitarra española", "Piano à queue", "Großer Chor", "Señor Müller’s Tune", "Å, så skön"],
}  # fmt: skip


@pytest.mark.parametrize("page", NAMES)
def test_all_names_of_a_file_together_tell_its_code_page(page):
    assert shown_texts([name.encode(page) for name in NAMES[page]]) == NAMES[page]


@pytest.mark.parametrize("page", NAMES)
def test_nearly_every_name_tells_it_alone(page):
    right = [shown_texts([name.encode(page)]) == [name] for name in NAMES[page]]
    assert sum(right) >= len(right) - 1


@pytest.mark.parametrize(
    ("page", "lyrics"),
    [
        ("gbk", "让我们荡起双桨，小船儿推开波浪"),
        ("cp1251", "Пусть бегут неуклюже"),
        ("cp932", "さくらさくら やよいのそらは"),
    ],
)
def test_lyrics_help_where_a_name_is_too_short(page, lyrics):
    name = {"gbk": "男", "cp1251": "Ж.", "cp932": "笙"}[page]
    assert shown_texts([name.encode(page), b"Bass"], (word.encode(page) for word in lyrics.split("，"))) == [
        name,
        "Bass",
    ]


def test_utf8_and_byte_order_marks():
    assert shown_texts(["Flöte 🎻 主旋律".encode(), b"Bass"]) == ["Flöte 🎻 主旋律", "Bass"]
    for encoding in ("utf-8-sig", "utf-16"):
        assert shown_texts(["Скрипка".encode(encoding)]) == ["Скрипка"]
    assert shown_texts([b"\xfe\xff" + "主旋律".encode("utf-16-be")]) == ["主旋律"]
    assert shown_texts(["Flöte".encode("utf-16-le"), "Bass".encode("utf-16-be"), b"Oboe\0\0"]) == [
        "Flöte",
        "Bass",
        "Oboe",
    ]


def test_utf8_cut_off_inside_its_last_character_and_beside_latin():
    assert shown_texts(["アコースティック".encode()[:-1]]) == ["アコースティッ"]
    assert shown_texts(["Скрипка".encode(), "© Müller".encode("latin-1")]) == ["Скрипка", "© Müller"]
    assert shown_texts([b"Caf\xe9"]) == ["Café"]  # an E9 alone is no UTF-8 that was cut off


def test_plain_names_stay_and_blanks_are_one_space():
    assert shown_texts([b"Piano", b"", b"  Acoustic\tGrand \r\n Piano\0"]) == ["Piano", "", "Acoustic Grand Piano"]
    assert shown_texts([]) == []


def test_what_moves_a_cursor_or_turns_the_writing_does_not_come_out():
    assert shown_line("a\x1b[31mred\x07\x9b2J") == "a [31mred 2J"
    assert shown_line("a\u202egpj.exe\u2066\u200fb\u2028c\u2029d\x85e") == "agpj.exeb c d e"
    assert shown_line("\ufeffa\u200b\u2060b\ud800\uffff") == "ab\ufffd\ufffd"


def test_emoji_persian_and_cjk_stay():
    for text in ("👩‍🎤 Vocals", "❤️", "می‌خواهم", "主旋律", "한국어", "ﾄﾞﾗﾑ", "\U0001f3f4\U000e0067\U000e007f"):
        assert shown_line(text) == text


@given(st.lists(st.binary(max_size=60), max_size=5), st.lists(st.binary(max_size=60), max_size=3))
def test_any_bytes_give_printable_lines(texts, more):
    for text in shown_texts(texts, more):
        assert not {unicodedata.category(c) for c in text} & {"Cc", "Zl", "Zp", "Cs"}
        assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
        assert text == shown_line(text)
        text.encode()


@given(st.text())
def test_a_line_that_is_shown_is_shown_as_it_is(text):
    assert shown_line(shown_line(text)) == shown_line(text)


@given(st.text())
def test_a_path_and_json_have_nothing_in_them_that_acts(text):
    line = escaped(text)
    assert not {unicodedata.category(c) for c in line} & {"Cc", "Zl", "Zp", "Cs"}
    assert escaped(line) == line
    written = json_escaped(json.dumps({"name": text}, ensure_ascii=False))
    assert json.loads(written) == {"name": text}
    assert escaped(written) == written


def test_paths_tell_which_file_it_is():
    assert escaped("a\x1b[2J\u202e\ndef\udcff.mid") == "a\\x1b[2J\\u202e\\ndef\\udcff.mid"
    assert escaped("Café 曲 🎻.mid") == "Café 曲 🎻.mid"
