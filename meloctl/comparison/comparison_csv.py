"""comparison.csv: one line a run, for spreadsheets."""

import csv
import io
from typing import Any

from meloctl.evaluation.held_out import SIDES
from meloctl.rows.vocabulary import FIELDS


def table_of(facts: dict[str, Any]) -> str:
    """The file's text; a cell is empty where nothing is known."""
    out = io.StringIO()
    rows = [_row(run, facts) for run in facts["runs"]]
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _row(run: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    training, forward, writing = run["training"], run["forward"], run["generation"]
    about = ("letter", "name", "path", "architecture", "model", "mask", "density", "context", "parameters")
    row = {name: run[name] for name in about}
    row |= {
        f"training_{name}": training[name] for name in ("seed", "minutes", "steps", "rows_per_second", "peak_bytes")
    }
    for side in SIDES:
        row |= _quality(run["bits"][side] or {}, side)
    fields = run["bits"][facts["heard"]["side"]]["fields"]
    row |= {f"bits_per_note_{name}": fields[name]["bits_per_note"] for name in FIELDS}
    row["forward_seconds_per_thousand_rows"] = forward["seconds_per_thousand_rows"]
    row["forward_ratio"] = forward["ratio"]
    told = ("notes_per_second", "ratio", "cache_bytes", "cache_bytes_per_row", "why_not")
    row |= {f"generation_{name}": writing[name] for name in told}
    music = run["music"] or {}
    row["music"] = music.get("folder")
    for error in _errors(facts):
        name = f"similarity_error_{error[0]}_{error[1]}".replace("-", "_")
        row[name] = next(
            (e["error"] for e in music.get("similarity_error", []) if (e["similarity"], e["relation"]) == error), None
        )
    return row


def _quality(quality: dict[str, Any], side: str) -> dict[str, Any]:
    """A side's columns; empty where it has no piece."""
    low, high = quality.get("interval", (None, None))
    less, more = quality.get("difference_interval") or (None, None)
    return {
        f"{side}_bits_per_note": quality.get("bits_per_note"),
        f"{side}_low": low,
        f"{side}_high": high,
        f"{side}_difference": quality.get("difference"),
        f"{side}_difference_low": less,
        f"{side}_difference_high": more,
    }


def _errors(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """The variants of Similarity Error that were measured."""
    judged = next((run["music"] for run in facts["runs"] if run["music"]), None)
    return [(e["similarity"], e["relation"]) for e in judged["similarity_error"]] if judged else []
