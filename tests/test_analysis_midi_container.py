import gzip
import struct
import zlib

import pytest
from conftest import note, smf
from hypothesis import given
from hypothesis import strategies as st

from analysis.errors import MeloError
from analysis.midi_container import is_midi_name, unwrap

SONG = smf(note(60, 480))
LIMIT = 1 << 20


def chunk(name, content, *, pad=True):
    return name + struct.pack("<I", len(content)) + content + b"\0" * (pad and len(content) % 2)


def rmid(*chunks):
    content = b"RMID" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(content)) + content


@pytest.mark.parametrize(
    "name", ["a.mid", "A.MID", "b.MIDI", "c.smf", "c.kar", "D.Rmi", "e.mid.gz", "F.KAR.GZ", "g.midi.Gz", "h.rmi.gz"]
)
def test_endings_of_midi(name):
    assert is_midi_name(name)


@pytest.mark.parametrize("name", ["a.gz", "mid", "a.mid.txt", "a.mid.zip", "a.gz.mid.x", "a.xml"])
def test_other_endings(name):
    assert not is_midi_name(name)


def test_a_plain_file_and_what_is_none_stay_as_they_are():
    for data in (SONG, b"", b"text", b"\x1f", b"RIF"):
        plain, wrapper = unwrap(data, most_bytes=LIMIT)
        assert (plain, wrapper.kind, wrapper.other_chunks, wrapper.further_files) == (data, "", {}, 0)


def test_riff_takes_the_data_chunk_and_counts_the_others():
    info = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"odd"))
    sounds = chunk(b"RIFF", b"DLS " + chunk(b"colh", bytes(4)))
    plain, wrapper = unwrap(rmid(info, chunk(b"data", SONG), info, chunk(b"DISP", b"x"), sounds), most_bytes=LIMIT)
    assert plain == SONG
    assert wrapper.kind == "RIFF"
    assert wrapper.other_chunks == {"LIST INFO": 2, "DISP": 1, "RIFF DLS ": 1}
    assert wrapper.further_files == 0


@pytest.mark.parametrize("pad", [True, False])
def test_chunks_of_odd_size_with_and_without_a_zero_behind(pad):
    odd = SONG + b"x" * (len(SONG) % 2 == 0)
    before = chunk(b"DISP", b"abc", pad=pad)
    plain, wrapper = unwrap(rmid(before, chunk(b"data", odd, pad=pad), chunk(b"DISP", b"y")), most_bytes=LIMIT)
    assert plain == odd
    assert wrapper.other_chunks == {"DISP": 2}


def test_a_chunk_that_claims_too_much_ends_with_the_file():
    data = b"RIFF\0\0\0\0RMIDdata\xff\xff\xff\x7f" + SONG
    assert unwrap(data, most_bytes=LIMIT)[0] == SONG


def test_further_midi_files_are_counted():
    data = chunk(b"data", SONG)
    for both in (rmid(data, data), rmid(data) + rmid(data)):
        plain, wrapper = unwrap(both, most_bytes=LIMIT)
        assert (plain, wrapper.further_files) == (SONG, 1)


def test_riff_without_midi_is_refused_with_what_it_is():
    with pytest.raises(MeloError, match="a RIFF file of WAVE, not of MIDI"):
        unwrap(b"RIFF\x24\0\0\0WAVEfmt ", most_bytes=LIMIT)
    with pytest.raises(MeloError, match="without a MIDI file in it"):
        unwrap(rmid(chunk(b"data", b"no music"), chunk(b"LIST", b"INFO")), most_bytes=LIMIT)
    with pytest.raises(MeloError, match="over 4,096 chunks"):
        unwrap(rmid(*[chunk(b"JUNK", b"")] * 5000, chunk(b"data", SONG)), most_bytes=LIMIT)


def test_gzip_around_either():
    plain, wrapper = unwrap(gzip.compress(SONG), most_bytes=LIMIT)
    assert (plain, wrapper.kind) == (SONG, "gzip")
    plain, wrapper = unwrap(gzip.compress(rmid(chunk(b"LIST", b"INFO"), chunk(b"data", SONG))), most_bytes=LIMIT)
    assert (plain, wrapper.kind, wrapper.other_chunks) == (SONG, "RIFF in gzip", {"LIST INFO": 1})


def test_members_of_gzip_are_one_file_and_what_follows_is_counted():
    halves = gzip.compress(SONG[:20]) + gzip.compress(b"") + gzip.compress(SONG[20:])
    for rest, chunks, files in ((bytes(512), {}, 0), (b"\0garbage", {"behind gzip": 1}, 0), (SONG, {}, 1)):
        plain, wrapper = unwrap(halves + rest, most_bytes=LIMIT)
        assert (plain, wrapper.other_chunks, wrapper.further_files) == (SONG, chunks, files)
    with pytest.raises(MeloError, match="over 4,096 members"):
        unwrap(gzip.compress(b"") * 5000, most_bytes=LIMIT)


def test_a_gzip_file_unpacks_to_the_limit_and_no_further(monkeypatch):
    assert len(unwrap(gzip.compress(bytes(1000)), most_bytes=1000)[0]) == 1000
    with pytest.raises(MeloError, match="unpacks to more than 1,000 bytes"):
        unwrap(gzip.compress(bytes(1001)), most_bytes=1000)
    unpacked, real = [], zlib.decompressobj

    class Counted:
        def __init__(self, **options):
            self.inner = real(**options)

        def decompress(self, *arguments):
            unpacked.append(self.inner.decompress(*arguments))
            return unpacked[-1]

        def __getattr__(self, name):
            return getattr(self.inner, name)

    monkeypatch.setattr("analysis.midi_container.zlib.decompressobj", Counted)
    with pytest.raises(MeloError, match="unpacks to more"):
        unwrap(gzip.compress(bytes(64 << 20)), most_bytes=1000)
    assert sum(map(len, unpacked)) == 1001


def test_damaged_gzip_is_refused():
    packed = gzip.compress(SONG)
    for cut in (2, 5, 15, len(packed) - 1):
        with pytest.raises(MeloError, match="damaged"):
            unwrap(packed[:cut], most_bytes=LIMIT)
    with pytest.raises(MeloError, match="cannot be unpacked"):
        unwrap(packed[:-6] + b"wrong!", most_bytes=LIMIT)


@given(st.binary(max_size=300), st.sampled_from([b"", b"RIFF", b"\x1f\x8b", b"\x1f\x8b\x08\0", b"RIFF\0\0\0\0RMID"]))
def test_any_bytes_give_a_result_or_a_reason(data, start):
    try:
        plain, _ = unwrap(start + data, most_bytes=LIMIT)
    except MeloError:
        return
    assert len(plain) <= LIMIT
