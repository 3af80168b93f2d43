import json
import math
from pathlib import Path

import pytest
from conftest import DIARY, piece_of

from analysis.chunked_map import Workers
from analysis.errors import MeloError
from analysis.measure_corpus import MeasureChunk, measure_corpus
from analysis.midi_write import write_midi
from analysis.offset_table_file import OffsetTableFile, PeakEntry, curves_of, read_curves, table_json
from analysis.significance import evidence_of


def row(relation="same", offset=1, mean=0.5, **other):
    return {
        "measure": "pc-jaccard",
        "relation": relation,
        "offset": offset,
        "pairs": 3,
        "mean": mean,
        "piece_mean": None,
        **other,
    }


PEAK = {"measure": "pc-jaccard", "relation": "same", "offset": 2}


def table(*rows, **other):
    return {"format": "meloctl.offsets/1", "pieces": 1, "skipped": [], "offsets": list(rows), "source": {}, **other}


def test_the_diary_holds_the_seeds_numbers():
    curves = read_curves(DIARY)
    near = (0.487, 0.492, 0.444, 0.528, 0.423, 0.454, 0.421, 0.517)
    assert curves.same == {
        **dict(enumerate(near, 1)),
        **{12: 0.464, 16: 0.471, 24: 0.466, 29: 0.389, 32: 0.459},
    }
    near = (0.251, 0.252, 0.237, 0.263, 0.232, 0.241, 0.231, 0.257)
    assert curves.cross == {**dict(enumerate(near, 1)), **{12: 0.242, 16: 0.245, 24: 0.239, 32: 0.232}}


def test_what_stats_prints_is_what_derive_mask_reads(tmp_path):
    piece = piece_of([(p, 48 * b, 12, 60 + b % 3) for p in range(2) for b in range(9)])
    paths = [str(tmp_path / f"{i}.mid") for i in range(3)]
    for path in paths:
        write_midi(piece, Path(path))
    corpus = measure_corpus(paths, MeasureChunk.of(3), tmp_path / "c", key="k", workers=Workers(processes=0))
    data = table_json(corpus.table.rows(), evidence_of(corpus), pieces=3, skipped=[], source={"corpus": "x"})
    data = json.loads(json.dumps(data, allow_nan=False))
    curves = curves_of(OffsetTableFile.from_json(data), where="table")
    assert curves.same == {k: float(k % 3 == 0) for k in range(1, 9)}
    assert curves.cross == {k: float(k % 3 == 0) for k in range(9)}
    assert curves.pairs["same"] == {k: 3 * 2 * (9 - k) for k in range(1, 9)}
    assert data["periods"]["pc-jaccard"] == {"same": 3, "cross": 3}
    (first,) = (r for r in data["offsets"] if (r["measure"], r["relation"], r["offset"]) == ("pc-jaccard", "same", 3))
    assert (first["mean"], first["interval"], first["piece_interval"]) == (1, [1, 1], [1, 1])
    shuffled = pytest.approx((3 - 1) / (9 - 1))  # of the other eight bars, two are alike
    assert (first["chance"], *first["chance_interval"]) == (shuffled, shuffled, shuffled)


def test_the_hash_follows_the_numbers():
    one, same, other = (
        curves_of(OffsetTableFile.from_json(table(row(mean=m), row("cross"), pieces=p)), where="t").table_hash
        for m, p in ((0.5, 1), (0.5, 2), (0.6, 1))
    )
    assert one == same != other


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "not a table of offsets"),
        ({"format": "meloctl.mask/1"}, "not a table of offsets"),
        (table(row(), row("cross"), extra=1), "unknown key 'extra'"),
        (table(row(surprise=1)), r"offsets\[0\]: unknown key 'surprise'"),
        (table(row("beside")), r"offsets\[0\].relation is 'beside'; it must be \"cross\" or \"same\""),
        (table(row(offset=0)), r"offsets\[0\]: offset is 0; within a part it must be 1 or more"),
        (table(row(offset=True)), r"offsets\[0\].offset is True; it must be a whole number, 0 to 10,000"),
        (table(row(offset=1.5)), "offset is 1.5"),
        (table(row(mean=1.5)), "mean is 1.5; it must be a number from 0 to 1"),
        (table(row(mean=float("nan"))), "mean is nan"),
        (table(row(mean="0.5")), "mean is '0.5'"),
        (table(row(mean=10**400)), "mean is 1000"),
        (table(row(pairs=0)), "pairs is 0; it must be a whole number ≥ 1"),
        (table(row(), row()), r"offsets\[1\]: pc-jaccard same 1 stands in the table twice"),
        (table(row()), "no pc-jaccard rows for both relations"),
        ({**table(), "offsets": "many"}, "offsets is 'many'; it must be a list"),
        ({"format": "meloctl.offsets/1"}, "no 'offsets' in it"),
        (table(row(), peaks=[{**PEAK, "height": 2}]), r"peaks\[0\].height is 2; it must be a number from -1"),
        (table(row(), peaks=[{**PEAK, "pieces": -1}]), r"peaks\[0\].pieces is -1"),
        (table(row(), peaks=[PEAK, PEAK]), r"peaks\[1\]: pc-jaccard same 2 stands in the table twice"),
        (table(row(), peaks=[{**PEAK, "surprise": 1}]), r"peaks\[0\]: unknown key 'surprise'"),
        (table(row(), evidence={"level": 0.01, "shuffled": 1.5}), "evidence.shuffled is 1.5"),
        (table(row(), skipped=[{"path": 7}]), r"skipped\[0\].path is 7; it must be a text"),
        (table(row(), pieces=-1), "pieces is -1"),
        (table(row(), periods={"pc-jaccard": {"beside": 4}}), "periods\\['pc-jaccard'\\]: its key 'beside' must be"),
        (table(7), r"offsets\[0\] is 7; it must be an object with measure, relation"),
    ],
)
def test_bad_tables_are_refused(data, message):
    with pytest.raises(MeloError, match=message):
        curves_of(OffsetTableFile.from_json(data, where="t"), where="t")


def test_bad_files_are_refused(tmp_path):
    with pytest.raises(MeloError, match="cannot read this table of offsets: no such file"):
        read_curves(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(MeloError, match="it is not JSON"):
        read_curves(tmp_path / "bad.json")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(MeloError, match="it is not JSON"):
        read_curves(tmp_path / "deep.json")
    (tmp_path / "bytes.json").write_bytes(b"\xff\x00")
    with pytest.raises(MeloError, match="it is not JSON"):
        read_curves(tmp_path / "bytes.json")


def test_a_table_file_comes_back_as_it_was():
    peak = {**PEAK, "pieces": 3, "height": 0.5, "interval": [0.25, 0.75], "effect": 2.0, "p": None}
    data = table(
        row(interval=[0.25, 0.75], piece_interval=[None, None], chance=None, chance_interval=None),
        row("cross", 0),
        peaks=[peak, {**PEAK, "relation": "cross"}],
        periods={"pc-jaccard": {"same": 2, "cross": None}},
        skipped=[{"path": "a.mid", "reason": "cut"}],
        evidence={"level": 0.01, "shuffled": 3, "shuffles_of_each": 9},
        source={"corpus": "x"},
    )
    file = OffsetTableFile.from_json(data)
    assert OffsetTableFile.from_json(json.loads(file.to_text())) == file
    tested, untested = (entry.peak() for entry in file.peaks)
    assert (tested.height, tested.interval, tested.effect) == (0.5, (0.25, 0.75), 2.0)
    assert math.isnan(tested.p)
    assert all(map(math.isnan, (untested.height, *untested.interval, untested.effect, untested.p)))
    assert PeakEntry.of(tested).to_json() == peak
