"""Files that are not read as they stand, each a small situation of its own, and what `corpus check` says of them."""

from pathlib import Path

import pytest
from conftest import note, signature, smf

from analysis.midi_limits import Limits
from analysis.reading import AS_IT_STANDS
from meloctl.corpus.check_corpus import FileFacts, assess_files, check_file, check_files
from meloctl.corpus.check_report import check_json, summary
from meloctl.rows.vocabulary import default_vocabulary

V = default_vocabulary()
HEAD = [signature(4, 2), (0, b"\xff\x51\x03\x07\xa1\x20")]
TUNE = [event for step in range(40) for event in note(60 + 5 * step % 12, 480)]
GS_DRUMS = b"\xf0\x0a\x41\x10\x42\x12\x40\x11\x15\x02\x18\xf7"
"""Roland GS: channel 1 plays rhythm."""


def program(number, channel=0, delta=0):
    return delta, bytes([0xC0 | channel, number])


def control(number, value, channel=0, delta=0):
    return delta, bytes([0xB0 | channel, number, value])


def end_of_track(data, delta):
    """A file whose last End of Track stands `delta` ticks later: all tracks of `smf` end with a delta time of 0."""
    assert data.endswith(b"\x00\xff\x2f\x00")
    wait = bytes([0x80 | delta >> 21 & 0x7F, 0x80 | delta >> 14 & 0x7F, 0x80 | delta >> 7 & 0x7F, delta & 0x7F])
    at = data.rindex(b"MTrk") + 4
    size = int.from_bytes(data[at : at + 4], "big") + 3
    return data[:at] + size.to_bytes(4, "big") + data[at + 4 : -4] + wait + b"\xff\x2f\x00"


def behind_the_end(data, more):
    """A file with bytes behind the last End of Track, in its chunk."""
    at = data.rindex(b"MTrk") + 4
    size = int.from_bytes(data[at : at + 4], "big") + len(more)
    return data[:at] + size.to_bytes(4, "big") + data[at + 4 :] + more


def guitar():
    """One track of one program, a string a channel."""
    strings = [program(25, channel) for channel in range(6)]
    return [*strings, *(e for step in range(40) for e in note(40 + 5 * (step % 6), 480, channel=step % 6))]


def early():
    """Every downbeat but the first is struck 10 ticks of 480 before its bar line."""
    out = []
    for step in range(40):
        at = 480 * step - (10 if step % 4 == 0 and step else 0)
        out += [(at, b"\x90\x3c\x40"), (at + 400, b"\x80\x3c\x00")]
    out.sort(key=lambda event: event[0])
    return [(tick - before, data) for (tick, data), before in zip(out, [0, *(t for t, _ in out)], strict=False)]


SITUATIONS = {
    # name of the finding: (file, count)
    "endless-notes": (smf([*HEAD, (0, b"\x90\x30\x40"), *TUNE]), 1),
    "not-understood": (smf([*HEAD, (0, b"\xf8"), *TUNE, (0, b"\xb0\x07\xff")]), 2),
    "behind-end": (behind_the_end(smf([*HEAD, *TUNE]), b"\x00\x90\x3c\x40\x60\x80\x3c\x40"), 8),
    "further-files": (smf([*HEAD, *TUNE]) + smf(TUNE), 1),
    "escapes": (smf([*HEAD, *TUNE, (0, b"\xf7\x03\x90\x3c\x40"), (480, b"\xf7\x03\x80\x3c\x40")]), 2),
    "extra-tracks": (smf([*HEAD, *TUNE], TUNE).replace(b"\0\0\0\6\0\1\0\2", b"\0\0\0\6\0\1\0\1"), 1),
    "running-status": (smf([*HEAD, *TUNE, (0, b"\x90\x3c\x40"), (0, b"\xff\x01\x01x"), (480, b"\x3c\x00")]), 1),
    "all-notes-off": (smf([*HEAD, *TUNE, (0, b"\x90\x3c\x40"), (0, b"\x90\x40\x40"), control(123, 0, delta=480)]), 2),
    "grace-notes": (smf([*HEAD, *TUNE, (0, b"\x80\x30\x40"), (0, b"\x90\x30\x40"), *note(72, 480)]), 1),
    "drums-by-bank": (smf(HEAD, TUNE, [control(0, 120, 10), program(0, 10), *note(36, 480, channel=10) * 6]), 6),
    "drums-by-sysex": (smf([*HEAD, (0, GS_DRUMS), *TUNE]), 40),
    "joined-parts": (smf(HEAD, guitar()), 1),
    "signatures-moved": (smf([*HEAD, signature(3, 2, delta=4 * 1920 + 3)], TUNE), 1),
    "signatures-inside": (smf([*HEAD, signature(4, 2, delta=5 * 1920 + 960)], TUNE), 1),
    "signatures-ignored": (smf([*HEAD, signature(0, 2), signature(3, 9)], TUNE), 2),
    "tempos-ignored": (smf([*HEAD, (0, b"\xff\x51\x00")], TUNE), 1),
    "late-end": (end_of_track(smf([*HEAD, *TUNE]), (Limits().bars + 1) * 1920), 1),
    "other-chunks": (smf([*HEAD, *TUNE]) + b"XFIH\0\0\0\2ab", 1),
    "silent-end": (end_of_track(smf([*HEAD, *TUNE]), 12 * 1920), 12),
    "early-notes": (smf(HEAD, early()), 9),
}  # fmt: skip
MISSING = {"not-understood", "behind-end", "further-files", "escapes"}


def counted(finding):
    """The number of a finding: "… (12 in all)"."""
    return finding.what.rpartition("(")[2].removesuffix(" in all)")


def checked(folder, data):
    path = Path(folder) / "a.mid"
    path.write_bytes(data)
    return assess_files(check_files([path]))


@pytest.mark.parametrize("name", SITUATIONS)
def test_each_kind_is_found_alone_with_its_count(tmp_path, name):
    data, count = SITUATIONS[name]
    found = checked(tmp_path, data)
    assert {f.name: counted(f) for f in found.findings} == {name: f"{count:,}"}
    assert len(found.incomplete) == (name in MISSING)


def test_a_plain_file_has_no_finding(tmp_path):
    for data in (smf([*HEAD, *TUNE]), smf(HEAD, TUNE), end_of_track(smf([*HEAD, *TUNE]), 2 * 1920)):
        assert checked(tmp_path, data).findings == ()


def test_zeros_behind_the_end_and_system_exclusive_that_goes_on_are_no_finding(tmp_path):
    assert checked(tmp_path, behind_the_end(smf([*HEAD, *TUNE]), bytes(5))).findings == ()
    parts = [(0, b"\xf0\x03\x43\x12\x00"), (10, b"\xf7\x03\x10\x3c\xf7")]  # one message in two packets: no escape
    assert checked(tmp_path, smf([*HEAD, *parts, *TUNE])).findings == ()


def test_independent_sequences_are_skipped_with_their_reason(tmp_path):
    found = checked(tmp_path, smf([*HEAD, *TUNE], TUNE, kind=2))
    assert "independent sequences" in found.skipped[0].reason
    assert found.files == ()


def test_what_follows_the_last_track_may_be_anything_but_half_a_track(tmp_path):
    song = smf([*HEAD, *TUNE])
    for more in (b"\0", b"\x1a" * 300, b"TAGsome title" + bytes(115), bytes(4096)):
        found = checked(tmp_path, song + more)
        assert found.incomplete == frozenset()
        assert len(found.files) == 1
    found = checked(tmp_path, song + b"MTrk\0\0\1\0\0\x90\x3c\x40")
    assert found.skipped[0].reason == "damaged: the file ends inside a track"


def test_further_sequences_of_a_riff_file_and_its_chunks(tmp_path):
    song = smf([*HEAD, *TUNE])
    song += b"\0" * (len(song) % 2)

    def chunk(name, content):
        return name + len(content).to_bytes(4, "little") + content

    both = chunk(b"data", song) + chunk(b"LIST", b"INFO") + chunk(b"data", song)
    found = checked(tmp_path, b"RIFF" + (4 + len(both)).to_bytes(4, "little") + b"RMID" + both)
    assert {f.name: counted(f) for f in found.findings} == {"further-files": "1", "other-chunks": "1"}
    assert found.incomplete == {0}


def test_files_of_which_music_is_missing_are_not_usable(tmp_path):
    paths = []
    for name, (data, _) in SITUATIONS.items():
        paths.append(tmp_path / f"{name}.mid")
        paths[-1].write_bytes(data)
    found = assess_files(check_files(paths))
    assert {found.files[i].path.stem for i in found.incomplete} == MISSING
    data = check_json(found, corpus="x", reading=AS_IT_STANDS, passed_over={})
    assert (data["files"], data["usable"], data["incomplete"]) == (len(paths), len(paths) - 4, 4)
    assert summary(found).startswith(f"{len(paths)} files: {len(paths) - 4} usable, 0 skipped, 4 with music missing; ")


def test_channels_are_counted_beside_parts(tmp_path):
    (tmp_path / "a.mid").write_bytes(smf(HEAD, guitar(), [program(40, 9), *note(36, 480, channel=9)]))
    facts = check_file(tmp_path / "a.mid", V)
    assert isinstance(facts, FileFacts)
    assert (facts.piece.instruments.parts, facts.piece.instruments.channels) == (2, 7)
