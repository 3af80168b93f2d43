import json
from pathlib import Path

import pytest
from conftest import ROOT, piece_of

from analysis.chunked_map import Workers
from analysis.errors import MeloError
from analysis.measure_corpus import MeasureChunk, measure_corpus
from analysis.midi import write_midi
from analysis.offset_table_file import curves_of, read_curves, table_json
from analysis.significance import weigh

DIARY = ROOT / "data" / "seed" / "diary-2025-11-28.json"


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
    data = table_json(corpus.table.rows(), weigh(corpus), pieces=3, skipped=[], source={"corpus": "x"})
    data = json.loads(json.dumps(data, allow_nan=False))
    curves = curves_of(data, where="table")
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
        curves_of(table(row(mean=m), row("cross"), pieces=p), where="t").table_hash
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
        (table(row("beside")), "relation 'beside' is not one of same, cross"),
        (table(row(offset=0)), "offset 0 is not a whole number of bars, 1"),
        (table(row(offset=True)), "offset True"),
        (table(row(offset=1.5)), "offset 1.5"),
        (table(row(mean=1.5)), "mean 1.5 is not a similarity"),
        (table(row(mean=float("nan"))), "mean nan"),
        (table(row(mean="0.5")), "mean '0.5'"),
        (table(row(mean=10**400)), "mean 1000"),
        (table(row(pairs=0)), "pairs 0"),
        (table(row(), row()), "same 1 stands in the table twice"),
        (table(row()), "no pc-jaccard rows for both relations"),
        ({**table(), "offsets": "many"}, '"offsets" must be a list'),
        (table(7), r"offsets\[0\] is not an object"),
    ],
)
def test_bad_tables_are_refused(data, message):
    with pytest.raises(MeloError, match=message):
        curves_of(data, where="t")


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
