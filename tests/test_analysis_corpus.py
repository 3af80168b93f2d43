from dataclasses import replace
from pathlib import Path

import pytest
from conftest import note, piece_of, smf

from analysis.atomic import write_text
from analysis.corpus import (
    Read,
    Skipped,
    find_files,
    fingerprint,
    group_of,
    read_files,
    split_groups,
    split_of,
)
from analysis.errors import MeloError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.mid").write_bytes(smf(note(60, 10)))
    (tmp_path / "deep" / "B.MIDI").write_bytes(smf(note(61, 10)))
    (tmp_path / "text.mid").write_text("not music")
    (tmp_path / "notes.txt").write_text("# a list\na.mid\n\ndeep/B.MIDI\n")
    return tmp_path


def test_a_folder_is_searched_with_its_subfolders(folder):
    assert [p.name for p in find_files(folder)] == ["a.mid", "B.MIDI", "text.mid"]


def test_a_text_file_lists_a_corpus(folder):
    assert find_files(folder / "notes.txt") == [folder / "a.mid", folder / "deep" / "B.MIDI"]


def test_a_single_midi_file_is_a_corpus(folder):
    assert find_files(folder / "a.mid") == [folder / "a.mid"]


def test_a_loop_of_links_is_not_followed(folder):
    (folder / "deep" / "loop").symlink_to(folder)
    assert len(find_files(folder)) == 3


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(MeloError, match="no such folder"):
        find_files(tmp_path / "none")
    with pytest.raises(MeloError, match=r"no \.mid or \.midi file"):
        find_files(tmp_path)
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MeloError, match="not a text file"):
        find_files(tmp_path / "list.txt")


def test_every_file_is_read_or_skipped_with_a_reason(folder):
    calls = []
    found = list(read_files(find_files(folder), on_file=lambda: calls.append(1)))
    assert [type(f) for f in found] == [Read, Read, Skipped]
    assert "not a MIDI file" in found[2].reason
    assert len(calls) == 3


def test_a_group_is_its_notes_and_not_its_titles():
    a = piece_of([(0, 0, 12, 60), (1, 0, 12, 64)])
    titled = replace(a, parts=tuple(replace(p, name="Violin") for p in a.parts))
    other = piece_of([(0, 0, 12, 60), (1, 0, 12, 65)])
    assert group_of(a) == group_of(titled) != group_of(other)


def test_the_split_is_a_share_of_all_groups_and_never_moves():
    sides = [split_of(f"{i:016x}") for i in range(4000)]
    assert abs(sides.count("train") / 4000 - 0.8) < 0.02
    assert abs(sides.count("validation") / 4000 - 0.1) < 0.02
    assert split_of("0123456789abcdef") == "train"


def test_a_small_corpus_still_has_something_to_validate_on():
    training = [g for g in (f"{i:016x}" for i in range(40)) if split_of(g) == "train"][:5]
    assert sorted(split_groups(training)) == ["train"] * 4 + ["validation"]
    assert split_groups(training[::-1]) == split_groups(training)[::-1]
    copies = split_groups([training[0], *training])
    assert copies[0] == copies[1]  # equal files stay together
    assert split_groups(training[:1]) == ["train"]
    many = [f"{i:016x}" for i in range(200)]
    assert split_groups(many) == [split_of(g) for g in many]


def test_a_fingerprint_changes_with_the_files(folder):
    paths = find_files(folder)
    before = fingerprint(paths)
    assert fingerprint(paths) == before != fingerprint(paths[:2])
    (folder / "a.mid").write_bytes(smf(note(60, 10), note(61, 10)))
    assert fingerprint(paths) != before
    assert fingerprint([*paths, Path("gone.mid")]) != fingerprint(paths)


def test_files_appear_whole(tmp_path):
    write_text(tmp_path / "new" / "a.txt", "one")
    assert (tmp_path / "new" / "a.txt").read_text() == "one"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.txt"]
