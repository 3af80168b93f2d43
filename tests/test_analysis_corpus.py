import gzip
import os
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import note, piece_of, smf

from analysis.atomic_write import atomic_write_text
from analysis.corpus import (
    ReadFile,
    SkippedFile,
    find_files,
    fingerprint,
    group_of,
    printable,
    read_files,
    split_groups,
    split_of,
)
from analysis.errors import MeloError
from analysis.passed_over import passed_over, passed_over_line


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.mid").write_bytes(smf(note(60, 10)))
    (tmp_path / "deep" / "B.MIDI").write_bytes(smf(note(61, 10)))
    (tmp_path / "text.mid").write_text("not music")
    (tmp_path / "notes.txt").write_text("# a list\na.mid\n\ndeep/B.MIDI\n")
    return tmp_path


def test_a_folder_is_searched_with_its_subfolders(folder):
    (folder / ".partial-c.mid").write_bytes(smf(note(60, 10)))  # as a killed process leaves it
    assert [p.name for p in find_files(folder)] == ["a.mid", "B.MIDI", "text.mid"]


def test_every_ending_of_midi_is_read_in_capitals_or_not(tmp_path):
    song = smf(note(60, 10))
    riff = b"RIFF" + (12 + len(song)).to_bytes(4, "little") + b"RMIDdata" + len(song).to_bytes(4, "little") + song
    contents = {"a.mid": song, "b.MIDI": song, "c.Kar": song, "d.RMI": riff}
    contents |= {"e.mid.gz": gzip.compress(song), "f.KAR.GZ": gzip.compress(song), "g.rmi.gz": gzip.compress(riff)}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "h.gz").write_bytes(gzip.compress(song))
    found = list(read_files(find_files(tmp_path)))
    assert [f.path.name for f in found] == list(contents)
    assert [f.piece.notes.pitch.tolist() for f in found] == [[60]] * 7
    assert find_files(tmp_path / "f.KAR.GZ") == [tmp_path / "f.KAR.GZ"]


def test_music_in_other_forms_is_counted_with_what_to_do(folder):
    for name in ("a.xml", "b.XML", "deep/c.mxl", "d.wav", "e.jpg", ".f.wav", "g.mid.zip", "h.tar.gz", "i.mid.gz"):
        (folder / name).write_bytes(b"")
    found = passed_over(folder)
    assert found == {".xml": 2, ".mxl": 1, ".wav": 1, ".zip": 1, ".gz": 1}
    assert passed_over_line(found) == (
        "2 .xml, 1 .gz, 1 .mxl, 1 .wav, 1 .zip passed over, only MIDI is read: export notation and projects as MIDI "
        "(MuseScore and sequencers do); unpack archives; sound has to be transcribed"
    )
    assert passed_over(folder / "a.mid") == passed_over(folder / "notes.txt") == {}
    assert passed_over_line({}) == ""


def test_a_folder_of_other_music_says_what_to_do(tmp_path):
    (tmp_path / "b.mxl").write_text("")
    with pytest.raises(MeloError, match=r"b\.mxl: neither a folder nor MIDI; export notation"):
        find_files(tmp_path / "b.mxl")
    (tmp_path / "b.mxl").unlink()
    (tmp_path / "a.abc").write_text("X:1")
    with pytest.raises(MeloError, match=r"in it; 1 \.abc passed over, only MIDI is read: export"):
        find_files(tmp_path)


def test_a_text_file_lists_a_corpus(folder):
    assert find_files(folder / "notes.txt") == [folder / "a.mid", folder / "deep" / "B.MIDI"]


def test_a_single_midi_file_is_a_corpus(folder):
    assert find_files(folder / "a.mid") == [folder / "a.mid"]


def test_a_loop_of_links_is_not_followed(folder):
    (folder / "deep" / "loop").symlink_to(folder)
    assert len(find_files(folder)) == 3


def test_names_may_be_any_bytes(tmp_path):
    (tmp_path / os.fsdecode(b"\xff.mid")).write_bytes(smf(note(60, 10)))
    (path,) = find_files(tmp_path)
    assert printable(path).endswith("\\xff.mid")
    assert isinstance(next(iter(read_files([path]))), ReadFile)


def test_a_list_may_hold_nonsense(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfa\0b.mid\n")
    (found,) = read_files(find_files(tmp_path / "list.txt"))
    assert "cannot be opened" in found.reason
    assert len(fingerprint([found.path], tmp_path)) == 16


def test_nothing_to_read_is_an_error(tmp_path):
    with pytest.raises(MeloError, match="no such folder"):
        find_files(tmp_path / "none")
    with pytest.raises(MeloError, match=r"no MIDI file .* in it; give a folder of MIDI files"):
        find_files(tmp_path)
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MeloError, match="not a text file"):
        find_files(tmp_path / "list.txt")


def test_every_file_is_read_or_skipped_with_a_reason(folder):
    calls = []
    found = list(read_files(find_files(folder), on_file=lambda: calls.append(1)))
    assert [type(f) for f in found] == [ReadFile, ReadFile, SkippedFile]
    assert "not a MIDI file" in found[2].reason
    assert len(calls) == 3


def test_a_group_is_its_notes_and_not_its_titles_order_or_resolution():
    notes = [(0, 0, 12, 60), (1, 4, 12, 64), (1, 12, 12, 67)]
    a = piece_of(notes)
    titled = replace(a, parts=tuple(replace(p, name="Violin") for p in a.parts))
    fine = piece_of([(p, 40 * o, 40 * d, x) for p, o, d, x in notes], ticks_per_quarter=480)
    turned = piece_of([(1 - p, o, d, x) for p, o, d, x in notes], parts=a.parts[::-1])
    assert group_of(a) == group_of(titled) == group_of(fine) == group_of(turned)
    other_pitch = piece_of([(0, 0, 12, 60), (1, 4, 12, 65), (1, 12, 12, 67)])
    other_part = piece_of([(0, 0, 12, 60), (0, 4, 12, 64), (1, 12, 12, 67)])
    other_program = replace(a, parts=(replace(a.parts[0], program=99), a.parts[1]))
    assert len({group_of(p) for p in (a, other_pitch, other_part, other_program)}) == 4


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


def test_a_fingerprint_changes_with_the_files_and_not_with_the_way_to_them(folder, monkeypatch):
    paths = find_files(folder)
    before = fingerprint(paths, folder)
    assert before != fingerprint(paths[:2], folder)
    monkeypatch.chdir(folder)
    assert fingerprint(find_files(Path()), Path()) == before
    (folder / "a.mid").write_bytes(smf(note(60, 10), note(61, 10)))
    assert fingerprint(paths, folder) != before
    assert fingerprint([*paths, Path("gone.mid")], folder) != fingerprint(paths, folder)


def test_files_appear_whole(tmp_path):
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / ".partial-a.txt").write_text("left by a killed process")
    atomic_write_text(tmp_path / "new" / "a.txt", "one")
    assert (tmp_path / "new" / "a.txt").read_text() == "one"
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.txt"]
