"""comparison.csv: one line a run, for spreadsheets."""

import csv
import io
from typing import Any

from meloctl.evaluation.held_out import SIDES
from meloctl.rows.vocabulary import FIELDS

_ABOUT = ("letter", "name", "path", "architecture", "model", "mask", "density", "context", "parameters")
_TRAINING = ("seed", "minutes", "steps", "rows_per_second", "peak_bytes")
_GENERATION = ("notes_per_second", "ratio", "cache_bytes", "cache_bytes_per_row", "error")


def comparison_csv(comparison: dict[str, Any]) -> str:
    """The file's text, from the object of comparison.json; a cell is empty where a number is unknown."""
    out = io.StringIO()
    rows = [_row(run, comparison) for run in comparison["runs"]]
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _row(run: dict[str, Any], comparison: dict[str, Any]) -> dict[str, Any]:
    row = {name: run[name] for name in _ABOUT}
    row |= {f"training_{name}": run["training"][name] for name in _TRAINING}
    for side in SIDES:
        row |= _quality(run["bits"][side] or {}, side)
    fields = run["bits"][comparison["held_out"]["side"]]["fields"]
    row |= {f"bits_per_note_{name}": fields[name]["bits_per_note"] for name in FIELDS}
    row["forward_seconds_per_thousand_rows"] = run["forward"]["seconds_per_thousand_rows"]
    row["forward_ratio"] = run["forward"]["ratio"]
    row |= {f"generation_{name}": run["generation"][name] for name in _GENERATION}
    music = run["music"] or {}
    row["music"] = music.get("folder")
    errors = {(e["similarity"], e["relation"]): e["error"] for e in music.get("similarity_error", [])}
    for similarity, relation in _variants(comparison):
        name = f"similarity_error_{similarity}_{relation}".replace("-", "_")
        row[name] = errors.get((similarity, relation))
    return row


def _quality(quality: dict[str, Any], side: str) -> dict[str, Any]:
    """The columns of one side; empty where it has no piece."""
    low, high = quality.get("interval", (None, None))
    difference_low, difference_high = quality.get("difference_interval") or (None, None)
    return {
        f"{side}_bits_per_note": quality.get("bits_per_note"),
        f"{side}_low": low,
        f"{side}_high": high,
        f"{side}_difference": quality.get("difference"),
        f"{side}_difference_low": difference_low,
        f"{side}_difference_high": difference_high,
    }


def _variants(comparison: dict[str, Any]) -> list[tuple[str, str]]:
    """The variants of Similarity Error that were measured."""
    music = next((run["music"] for run in comparison["runs"] if run["music"]), None)
    return [(e["similarity"], e["relation"]) for e in music["similarity_error"]] if music else []
