"""Reads families.csv, the breakdown by instrument family that `meloctl stats` writes."""

from pathlib import Path

import pandas as pd

from analysis.errors import MeloError
from analysis.family_map import FamilyMap, family_map
from analysis.offsets import MAX_OFFSET
from analysis.tables import FamilyRow

_COLUMNS = ["measure", "relation", "offset", "later", "earlier", "pairs", "mean"]


def read_families(path: Path) -> dict[str, FamilyMap]:
    """{measure: its map}. Raises MeloError when the file is not the families.csv of `meloctl stats`."""
    try:
        table = pd.read_csv(path, keep_default_na=False)
        table = table[_COLUMNS].astype({"offset": int, "pairs": int, "mean": float})
        table = table[table["offset"].between(0, MAX_OFFSET)]
    except pd.errors.EmptyDataError:
        return {}  # no pair of bars anywhere
    except (KeyError, ValueError, OverflowError) as error:
        raise MeloError(f"{path}: not the families of meloctl stats; run it again") from error
    rows = [FamilyRow(**dict(zip(_COLUMNS, row, strict=True))) for row in table.itertuples(index=False, name=None)]
    measures = dict.fromkeys(row.measure for row in rows)
    return {str(measure): family_map(row for row in rows if row.measure == measure) for measure in measures}
