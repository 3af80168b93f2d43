"""Caption files: pairs with a corpus, and one line for whatever is wrong, with its number."""

import json
from pathlib import Path

import pytest

from analysis.errors import MeloError
from meloctl.text import caption_file
from meloctl.text.caption_file import pair_captions, read_captions


def written(tmp_path, *lines):
    """A file of these lines: bytes as they are, all else as JSON."""
    path = tmp_path / "captions.jsonl"
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    return path


def line(location, text="A slow song.", **more):
    return {"location": location, "caption": text, **more}


def test_captions_are_read(tmp_path):
    path = written(
        tmp_path, b"\xef\xbb\xbf" + json.dumps(line("a/b.mid", genre=["pop"])).encode(), b"", line("c.mid", "慢板")
    )
    assert [(c.line, c.location, c.text) for c in read_captions(path)] == [
        (1, "a/b.mid", "A slow song."),
        (3, "c.mid", "慢板"),
    ]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"{", r"line 2: damaged, it is not JSON \(.*\); give {\"location\": \"a.mid\""),
        (b'{"location": "a.mid", "caption": "\\ud800"}', "line 2: damaged, it is not JSON"),
        (b"\xff\xfe", "line 2: damaged, it is not JSON"),
        (b"[" * 50_000, "line 2: damaged, it is not JSON"),
        (b'{"location": "a.mid", "caption": NaN}', "line 2: damaged, it is not JSON"),
        (b'{"location": "a.mid", "caption": "x", "caption": "y"}', "stands twice"),
        (["a.mid", "slow"], 'line 2: it must be an object with the texts "location" and "caption"'),
        ({"caption": "slow"}, 'line 2: it must be an object with the texts "location" and "caption"'),
        (line("a.mid", 7), 'line 2: it must be an object with the texts "location" and "caption"'),
        (line("a.mid", " "), "line 2: its caption is empty"),
        (line("", "slow"), "line 2: its location is empty"),
        (line("a.mid", "x" * 4001), "line 2: its caption has 4,001 characters; at most 4,000 are allowed"),
        (line("a.mid", "x" * 70_000), "line 2: longer than 64 KiB"),
    ],
)
def test_a_bad_line_is_named(tmp_path, bad, message):
    with pytest.raises(MeloError, match=message):
        read_captions(written(tmp_path, line("a.mid"), bad))


def test_files_that_hold_no_captions(tmp_path, monkeypatch):
    with pytest.raises(MeloError, match="no captions in it"):
        read_captions(written(tmp_path, b"", b" "))
    with pytest.raises(MeloError, match=r"nothing\.jsonl: cannot read these captions: no such file"):
        read_captions(tmp_path / "nothing.jsonl")
    with pytest.raises(MeloError, match="cannot read these captions: is a directory"):
        read_captions(tmp_path)
    monkeypatch.setattr(caption_file, "MAX_LINES", 2)
    with pytest.raises(MeloError, match="more than 2 lines"):
        read_captions(written(tmp_path, *[line("a.mid")] * 3))


def test_captions_find_their_files(tmp_path):
    corpus = Path("corpus")
    files = [corpus / "1" / "a.mid", corpus / "2" / "a.mid", corpus / "b.mid"]
    locations = ["lmd_full/2/a.mid", "a.mid", "x\\b.mid", "b.mid", "c.mid", "../..", "/"]
    captions = read_captions(written(tmp_path, *[line(location) for location in locations]))
    paired = pair_captions(captions, files, corpus)
    assert {str(file): [c.location for c in own] for file, own in paired.captions.items()} == {
        "corpus/2/a.mid": ["lmd_full/2/a.mid"],
        "corpus/b.mid": ["x\\b.mid", "b.mid"],
    }
    assert [c.location for c in paired.without_file] == ["a.mid", "c.mid", "../..", "/"]
