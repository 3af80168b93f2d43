"""`meloctl corpus fix`: what was played freely comes onto its beats, nothing sounds at another time, the rest is copied."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import note, signature, smf
from played_notes import played

from analysis.errors import MeloError
from analysis.midi import parse_midi, read_bytes, read_source
from analysis.midi_events import META, read_events
from analysis.retimed_midi import retimed_midi
from meloctl.corpus import fix_corpus as fixing
from meloctl.corpus.fix_corpus import fix_corpus, fix_lines, plan_fix
from meloctl.corpus.onto_beats import lies_off_beats, put_on_beats
from meloctl.progress import SilentReporter

TICKS_A_SECOND = 960
"""480 a quarter at the 120 quarters a minute that files have without a tempo."""


def performance(bars=24, metre=4, seed=0):
    """A file of a piece whose beats slow down, with pedal, bend, a text and a system exclusive message."""
    columns, times, opens = played(bars, metre, lambda b: 0.53 * 1.004**b, seed=seed)
    events = [(0, b"\xff\x03\x05piano"), (0, b"\xc0\x05"), (3, b"\xf0\x05\x7e\x7f\x09\x01\xf7")]
    for on, off, pitch, velocity in zip(*columns, strict=True):
        first, last = round(on * TICKS_A_SECOND), round(off * TICKS_A_SECOND)
        events += [(first, bytes((0x90, pitch, int(velocity)))), (max(last, first + 1), bytes((0x80, pitch, 31)))]
    for t in times:
        tick = round(t * TICKS_A_SECOND)
        events += [(tick + 40, b"\xb0\x40\x7f"), (tick + 400, b"\xb0\x40\x00"), (tick + 7, b"\xe0\x01\x41")]
    events.append((round(times[5] * TICKS_A_SECOND), b"\xff\x01\x02hi"))
    events.sort(key=lambda e: e[0])
    now, deltas = 0, []
    for tick, data in events:
        deltas.append((tick - now, data))
        now = tick
    return smf(deltas), times, opens


def steady(seed):
    """A file on its grid."""
    steps = np.random.default_rng(seed).integers(0, 15, 64)
    return smf([signature(4, 2), *(e for s in steps for e in note(60 + int(s), 480))])


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    (folder / "inner").mkdir(parents=True)
    (folder / "free.mid").write_bytes(performance()[0])
    (folder / "inner" / "steady.mid").write_bytes(steady(1))
    (folder / "broken.mid").write_bytes(b"MThd\0\0")
    return folder


class Silent(SilentReporter):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def run(folder, out):
    return fix_corpus(plan_fix(folder, out), Silent, processes=0)


def events_in_seconds(source):
    """(second, event) of all but tempos and time signatures, in the order of the file."""
    seconds = source.piece.seconds_at(source.events.tick)
    raw = [source.events.raw(i) for i in range(len(source.events))]
    kept = [not (data[0] == META and data[1] in (0x51, 0x58)) for data in raw]
    return seconds[np.array(kept)], [data for data, k in zip(raw, kept, strict=True) if k]


def test_a_free_performance_comes_onto_its_beats_and_keeps_every_second(tmp_path):
    data, times, opens = performance()
    (tmp_path / "a.mid").write_bytes(data)
    before = read_source(tmp_path / "a.mid")
    assert lies_off_beats(before.piece)
    (tmp_path / "b.mid").write_bytes(put_on_beats(before).data)
    after = read_source(tmp_path / "b.mid")
    assert not lies_off_beats(after.piece)
    (old, old_events), (new, new_events) = events_in_seconds(before), events_in_seconds(after)
    assert old_events == new_events
    assert np.abs(old - new).max() < 1 / TICKS_A_SECOND
    piece = after.piece
    assert piece.bars.signature(3) == (4, 4)
    starts = piece.seconds_at(piece.bars.start_tick(np.arange(piece.n_bars)))
    assert np.mean([np.abs(starts - t).min() < 0.04 for t in times[opens][2:-2]]) > 0.8


def test_the_same_ticks_give_the_same_events():
    events = read_events(performance()[0])
    piece = parse_midi(events.data)
    again = retimed_midi(
        events, events.tick, events.end_tick, bars=piece.bars, tempo_tick=piece.tempo_tick, tempo=piece.tempo
    )
    other = read_events(again)
    mine = [(t, events.raw(i)) for i, t in enumerate(events.tick.tolist())]
    theirs = [(t, other.raw(i)) for i, t in enumerate(other.tick.tolist())]
    assert theirs[:2] == [(0, b"\xff\x58\x04\x04\x02\x18\x08"), (0, b"\xff\x51\x03\x07\xa1\x20")]
    assert theirs[2:] == mine
    assert other.end_tick.tolist() == events.end_tick.tolist()


def test_what_has_no_need_is_copied_and_all_is_listed(corpus, tmp_path):
    out = tmp_path / "out"
    before = {path: path.read_bytes() for path in corpus.rglob("*.mid")}
    table, there = run(corpus, out)
    assert not there
    became = {f["path"]: f["became"] for f in table["files"]}
    assert became == {"free.mid": "fixed", "inner/steady.mid": "copied", "broken.mid": "skipped"}
    assert (out / "inner" / "steady.mid").read_bytes() == before[corpus / "inner" / "steady.mid"]
    assert not lies_off_beats(read_source(out / "free.mid").piece)
    assert not (out / "broken.mid").exists()
    assert {path: path.read_bytes() for path in corpus.rglob("*.mid")} == before
    lines = list(csv.DictReader((out / "fix.csv").read_text().splitlines()))
    assert [line["became"] for line in lines] == [f["became"] for f in table["files"]]
    assert json.loads((out / "fix.json").read_text())["files"] == table["files"]
    assert sorted(p.name for p in out.iterdir()) == ["fix.csv", "fix.json", "free.mid", "inner"]
    assert "1 fixed, 1 without need" in fix_lines(table)[0]


def test_a_finished_fix_is_not_made_again_and_a_changed_corpus_is(corpus, tmp_path):
    out = tmp_path / "out"
    first, _ = run(corpus, out)
    again, there = run(corpus, out)
    assert there
    assert again == first
    (corpus / "more.mid").write_bytes(steady(2))
    more, there = run(corpus, out)
    assert not there
    assert len(more["files"]) == 4


def test_an_interrupted_fix_goes_on_where_it_stopped(tmp_path, monkeypatch):
    folder, out = tmp_path / "corpus", tmp_path / "out"
    folder.mkdir()
    for i in range(12):
        (folder / f"{i:02}.mid").write_bytes(steady(i))

    class Stops(Silent):
        def advance(self, steps=1, *, status=""):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fix_corpus(plan_fix(folder, out), Stops, processes=0)
    written = {path.name: path.stat().st_mtime_ns for path in out.glob("*.mid")}
    assert len(written) == 8
    run(folder, out)
    assert {name: (out / name).stat().st_mtime_ns for name in written} == written
    assert len(list(out.glob("*.mid"))) == 12


@pytest.mark.parametrize("place", ["corpus", "corpus/inner/out", ".", "other"])
def test_a_folder_that_holds_other_things_is_refused(corpus, tmp_path, place):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(MeloError, match=r"cannot lie in|holds files that"):
        plan_fix(corpus, tmp_path / place)


def test_performances_of_real_pianists_keep_their_seconds(real):
    for path in real("asap")[:2]:
        before = read_source(path)
        mended = put_on_beats(before)
        events = read_events(mended.data)
        after = parse_midi(mended.data)
        old, raw = events_in_seconds(before)
        seconds = after.seconds_at(events.tick)
        kept = [i for i in range(len(events)) if events.raw(i)[0] != META or events.raw(i)[1] not in (0x51, 0x58)]
        assert [events.raw(i) for i in kept] == raw
        assert np.abs(seconds[kept] - old).max() < 60 / (before.piece.tempo.max() * before.piece.ticks_per_quarter)
        assert read_bytes(path) != mended.data


def test_the_command_says_what_it_did(corpus, tmp_path):
    command = [sys.executable, "-m", "meloctl", "corpus", "fix", str(corpus), str(tmp_path / "out"), "--processes", "1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert "free.mid: put on its beats" in result.stdout
    assert "broken.mid" in result.stdout
    refused = subprocess.run(
        [*command[:5], str(corpus), str(corpus / "x")], capture_output=True, text=True, timeout=300
    )
    assert refused.returncode != 0
    assert "Traceback" not in refused.stderr
    assert fixing.LIST in result.stdout
