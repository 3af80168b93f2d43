"""Writes what was measured: a JSON table for programs, CSV and Parquet for people with notebooks."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.atomic import whole_file, write_text
from analysis.corpus import shown
from analysis.engine import CorpusFacts


def write_offsets(facts: CorpusFacts, table: dict[str, Any], folder: Path) -> None:
    """Write offsets.json (`table`), offsets.csv, and pieces.parquet with one row per piece, relation and offset."""
    write_text(folder / "offsets.json", json.dumps(table, indent=1) + "\n")
    with whole_file(folder / "offsets.csv") as temporary:
        pd.DataFrame([vars(r) for r in facts.table.rows()]).to_csv(temporary, index=False)
    rows = [
        {
            "path": shown(p.path),
            "group": p.group,
            "bars": p.bars,
            "parts": p.parts,
            "drums": p.drums,
            "notes": p.notes,
            "seconds": p.seconds,
            "measure": r.measure,
            "relation": r.relation,
            "offset": r.offset,
            "pairs": r.pairs,
            "mean": r.mean,
        }
        for p in facts.pieces
        for r in p.table.rows()
    ]
    with whole_file(folder / "pieces.parquet") as temporary:
        pd.DataFrame(rows).to_parquet(temporary, index=False)
