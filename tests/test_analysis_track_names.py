import pytest
from conftest import note, smf
from plain_player import play

from analysis.midi import parse_midi, parse_source
from analysis.piece_check import check_source


def named(*names):
    return [(0, b"\xff\x03" + bytes([len(name)]) + name) for name in names]


def names_of(*tracks):
    return [part.name for part in parse_midi(smf(*tracks)).parts]


def test_the_first_name_that_is_not_empty_counts():
    assert names_of([*named(b"", b"Lead", b"Other"), *note(60, 480)], note(62, 480)) == ["Lead", ""]


@pytest.mark.parametrize(
    ("page", "names"), [("cp932", ["ピアノ", "主旋律"]), ("gbk", ["钢琴", "电吉他"]), ("cp1251", ["Скрипка", "Бас"])]
)
def test_all_names_of_a_file_are_read_in_one_code_page(page, names):
    tracks = [[*named(name.encode(page)), *note(60, 480)] for name in names]
    assert names_of(*tracks) == names


def test_lyrics_and_names_of_tracks_without_notes_help_to_tell_it():
    """Two letters alone read best as a Chinese character."""
    short = [*named("Уд".encode("cp1251")), *note(60, 480)]
    assert names_of(short) == ["愉"]
    lyrics = "Пусть бегут неуклюже".encode("cp1251")
    assert names_of([(0, b"\xff\x05" + bytes([len(lyrics)]) + lyrics), *short]) == ["Уд"]
    assert names_of(named("Подмосковные вечера".encode("cp1251")), short) == ["Уд"]


def test_where_all_channels_share_a_track_its_name_is_the_pieces():
    """Format 0: a title, and names of two channels behind channel prefixes; the third has none."""
    prefixed = [e for c, name in ((0, b"Piano"), (1, b"Flute")) for e in ((0, bytes([0xFF, 0x20, 1, c])), *named(name))]
    played = [e for c in range(3) for e in note(60, 480, channel=c)]
    data = smf([*named(b"The Little Drummer Boy"), *prefixed, *played, *named(b"Later")], kind=0)
    assert [part.name for part in parse_midi(data).parts] == ["Piano", "Flute", ""]
    assert [part.name for part in play(data).parts] == [b"Piano", b"Flute", b""]
    assert not check_source(parse_source(data), meter_given=False).instruments.hidden_drums
    alone = smf([*named(b"Solo"), *note(60, 480)], kind=0)
    assert [part.name for part in parse_midi(alone).parts] == ["Solo"]


def test_control_characters_of_names_are_not_shown():
    assert names_of([*named(b"\x1b[2JLead\r\n\x9b1\x00"), *note(60, 480)])[0].isprintable()
