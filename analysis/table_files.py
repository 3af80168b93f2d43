"""Writes what was measured: a JSON table for programs, CSV and Parquet for people with notebooks."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.atomic_write import atomic_write, atomic_write_text
from analysis.chunked_map import ChunkResult
from analysis.measure_corpus import MeasuredCorpus
from analysis.offsets import RELATIONS, UNIT
from analysis.significance import Evidence

FILES = ("offsets.json", "offsets.csv", "families.csv", "peaks.csv", "pieces.parquet", "skipped.csv")


def write_tables(measured: MeasuredCorpus, evidence: Evidence, table: dict[str, Any], folder: Path) -> None:
    """Write FILES: the table, the same as CSV, the breakdown by family, the test of every offset, one row for each piece,
    measure, relation and offset, and the files that were skipped."""
    atomic_write_text(folder / "offsets.json", json.dumps(table, indent=1, allow_nan=False) + "\n")
    _write_csv([_flat(row) for row in table["offsets"]], _deviations(measured), folder / "offsets.csv")
    with atomic_write(folder / "families.csv") as partial:
        pd.DataFrame([vars(r) for r in measured.table.family_rows()]).to_csv(partial, index=False)
    with atomic_write(folder / "peaks.csv") as partial:
        peaks = [{**_flat(vars(p)), "real": p.real} for p in evidence.peaks]
        pd.DataFrame(peaks).to_csv(partial, index=False)
    with atomic_write(folder / "skipped.csv") as partial, partial.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, ["path", "reason"])
        rows.writeheader()
        rows.writerows(measured.each_skipped())
    with atomic_write(folder / "pieces.parquet") as partial, pq.ParquetWriter(partial, _SCHEMA) as writer:
        for chunk in measured.each_chunk():
            for rows in _piece_tables(chunk):
                writer.write_table(rows)


_SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        *((name, pa.int64()) for name in ("bars", "parts", "drums", "notes")),
        ("seconds", pa.float64()),
        *((name, pa.dictionary(pa.int8(), pa.string())) for name in ("measure", "relation")),
        ("offset", pa.int16()),
        ("pairs", pa.int64()),
        ("mean", pa.float64()),
    ]
)


def _piece_tables(chunk: ChunkResult) -> Iterator[pa.Table]:
    """The rows of a chunk's pieces, one table or none."""
    pairs, similarity = chunk.arrays["of_piece.pairs"], chunk.arrays["of_piece.similarity"]
    piece, measure, relation, offset = np.nonzero(pairs)
    if not len(piece):
        return
    facts = pd.DataFrame(chunk.facts["pieces"])
    n = pairs[piece, measure, relation, offset]
    columns = {
        **{name: facts[name].to_numpy()[piece] for name in ("path", "bars", "parts", "drums", "notes", "seconds")},
        "measure": _named(measure, chunk.facts["measures"]),
        "relation": _named(relation, RELATIONS),
        "offset": offset,
        "pairs": n,
        "mean": similarity[piece, measure, relation, offset] / (n * float(UNIT)),
    }
    yield pa.table(columns, schema=_SCHEMA)


def _named(index: Any, names: Any) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(index, pa.int8()), pa.array(list(names)))


def _deviations(measured: MeasuredCorpus) -> list[dict[str, Any]]:
    return [{"deviation": r.deviation, "pieces": r.pieces} for r in measured.table.rows()]


def _write_csv(rows: list[dict[str, Any]], more: list[dict[str, Any]], path: Path) -> None:
    with atomic_write(path) as partial:
        pd.DataFrame([{**a, **b} for a, b in zip(rows, more, strict=True)]).to_csv(partial, index=False)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Intervals as two columns, low and high."""
    out: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, (list, tuple)):
            out[f"{name}_low"], out[f"{name}_high"] = value
        else:
            out[name] = value
    return out
