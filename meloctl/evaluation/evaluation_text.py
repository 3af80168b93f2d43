"""evaluation.json as tables of cells, for the terminal and the page, and as lines for the terminal."""

from collections.abc import Sequence
from typing import Any

from meloctl.evaluation.similarity_error import T
from meloctl.formatting import count, interval, number, percent, text_table, whole

FEW_PIECES = 10
"""Below this many pieces, intervals are marked as too narrow."""

RELATION = {"same": "own part", "cross": "other parts"}

Table = list[list[str]]
"""Rows of cells, the header row first; its first cell is empty."""


def excludes_zero(ends: Sequence[float | None]) -> bool:
    """True where an interval [low, high] is known and leaves out 0."""
    low, high = ends
    return low is not None and high is not None and (low > 0 or high < 0)


def beyond_real(error: dict[str, Any]) -> bool:
    """True where a Similarity Error is larger than in 95 of 100 draws of real pieces."""
    return None not in (error["error"], error["real_95"]) and error["error"] > error["real_95"]


def variant_name(entry: dict[str, Any]) -> str:
    """A variant of Similarity Error: "pc-jaccard, own part"."""
    return f"{entry['similarity']}, {RELATION[entry['relation']]}"


def evaluation_lines(evaluation: dict[str, Any]) -> list[str]:
    """The object of evaluation.json as lines."""
    lines = []
    if evaluation["music"]:
        lines += _set_lines(evaluation)
        lines += _metric_lines(evaluation["metrics"], compared=evaluation["reference"] is not None)
        if evaluation["reference"]:
            lines += _error_lines(evaluation["similarity_error"], evaluation["music"]["pieces"])
            lines += ["", f"Copies: {copying_note(evaluation['copying'])}:"]
            lines += text_table(copying_table(evaluation["copying"]))
    if evaluation["model"]:
        lines += _model_lines(evaluation["model"])
    return lines


def set_line(name: str, music: dict[str, Any]) -> str:
    """A set of pieces: "Music: PATH: 4 pieces, 128 bars, 2,000 notes; 1 skipped"."""
    size = f"{count(music['pieces'], 'piece')}, {count(music['bars'], 'bar')}, {count(music['notes'], 'note')}"
    return f"{name}: {music['path']}: {size}; {len(music['skipped']):,} skipped"


def metric_table(metrics: list[dict[str, Any]], *, compared: bool) -> Table:
    """Means over pieces with 95 % intervals; a difference whose interval leaves out 0 is marked."""
    rows = [["", "mean", "95 %"] + (["reference", "95 %", "difference", "95 %", ""] if compared else [])]
    for m in metrics:
        row = [f"{m['name']} ({m['unit']})", number(m["mean"]), interval(m["interval"])]
        if compared:
            row += [number(m["reference_mean"]), interval(m["reference_interval"])]
            row += [number(m["difference"], sign=True), interval(m["difference_interval"], sign=True)]
            row += ["*" if excludes_zero(m["difference_interval"]) else ""]
        rows.append(row)
    return rows


def error_table(errors: list[dict[str, Any]]) -> Table:
    """Similarity Error by variant; one that is larger than real pieces explain is marked."""
    rows = [["", "error", "real", "95 % below", ""]]
    for e in errors:
        few = f" ({e['offsets']} offsets)" if 0 < e["offsets"] < T else ""
        shares = (percent(e[key], decimals=2) for key in ("error", "real", "real_95"))
        rows.append([f"{variant_name(e)}{few}", *shares, "*" if beyond_real(e) else ""])
    return rows


def copying_note(copying: dict[str, Any]) -> str:
    """What counts as a copy."""
    return (
        "runs are notes of one part in a row with equal intervals and waits, repeated figures counted once; "
        f"copied from {copying['run_counts_from']} notes, near copies from a Jaccard index of {copying['near_copy_from']}"
    )


def copying_rows(columns: Sequence[dict[str, Any]]) -> Table:
    """What pieces share, a column a set of pieces, without a header row; an empty set has no numbers."""
    rows = []
    for name, key, decimals in (
        ("longest shared run, median (notes)", "longest_run_median", 0),
        ("longest shared run, most (notes)", "longest_run_most", 0),
        ("in shared runs, mean (share of notes)", "copied_share_mean", 3),
        ("in shared runs, most (share of notes)", "copied_share_most", 3),
        ("Jaccard index of the nearest piece, median", "nearest_median", 3),
        ("near copies (pieces)", "near_copies", 0),
        ("of (pieces)", "pieces", 0),
    ):
        rows.append([name, *((number if decimals else whole)(c.get(key)) for c in columns)])
    return rows


def copying_table(copying: dict[str, Any]) -> Table:
    """What the pieces share with the reference, and what the reference's own pieces share."""
    head = ["", "music", "within the reference"]
    return [head, *copying_rows([copying, copying["among_reference"] or {}])]


def loss_table(model: dict[str, Any]) -> Table:
    """Held-out loss in windows and of first rows, as far as some piece is so long."""
    rows = [["", "rows", "bits a note", "a bar", "a second", "perplexity a value", "a row"]]
    for side, loss in model["windows"].items():
        rows.append([f"{side}, windows of {model['context']:,} rows", *_loss_cells(loss)])
    by_length, before = model["by_length"], 0
    for n, loss in by_length["rows"].items():
        if loss["rows"] > before:
            rows.append([f"{by_length['side']}, first {int(n):,} rows of each piece", *_loss_cells(loss)])
        before = loss["rows"]
    return rows


def field_table(model: dict[str, Any]) -> Table:
    """Loss of each field in the most first rows, see `field_caption`; no rows where no piece was held out."""
    losses = list(model["by_length"]["rows"].values())[-1:]
    rows = [
        [f, number(x["perplexity"]), number(x["bits_per_note"])] for loss in losses for f, x in loss["fields"].items()
    ]
    return [["", "perplexity", "bits a note"], *rows] if rows else []


def field_caption(model: dict[str, Any]) -> str:
    """Of which rows `field_table` is: "By field, first 10,240 rows of each test piece"."""
    most = max(map(int, model["by_length"]["rows"]))
    return f"By field, first {most:,} rows of each {model['by_length']['side']} piece"


def held_out_line(model: dict[str, Any]) -> str:
    """Which pieces were held out: "tiny-c37778ad; pieces held out: 29 validation, 32 test"."""
    return f"{model['run']}; pieces held out: {', '.join(f'{n:,} {side}' for side, n in model['pieces'].items())}"


def _set_lines(evaluation: dict[str, Any]) -> list[str]:
    lines = []
    for name, key in (("Music", "music"), ("Reference", "reference")):
        if music := evaluation[key]:
            lines.append(set_line(name, music))
            lines += [f"  skipped {s['path']}: {s['reason']}" for s in music["skipped"][:5]]
    if min(music["pieces"] for music in (evaluation["music"], evaluation["reference"]) if music) < FEW_PIECES:
        lines.append(
            f"  Fewer than {FEW_PIECES} pieces: intervals are too narrow, and what is marked with * is a hint at most"
        )
    if not evaluation["reference"]:
        lines.append("Reference: none; give a folder of real music as reference, or run first: meloctl stats FOLDER")
    return lines


def _metric_lines(metrics: list[dict[str, Any]], *, compared: bool) -> list[str]:
    lines = ["", "Means over pieces (nearer to the reference is better, not higher):"]
    lines += text_table(metric_table(metrics, compared=compared))
    return [*lines, "  * differs from the reference by more than the choice of pieces explains"] if compared else lines


def _error_lines(errors: list[dict[str, Any]], pieces: int) -> list[str]:
    return [
        "",
        f"Similarity Error (mean distance of both curves, 1 to {T} bars back; 0 is equal; museformer is the paper's):",
        *text_table(error_table(errors)),
        f"  real: of {count(pieces, 'random reference piece')}; * larger than that in 95 of 100 draws",
    ]


def _model_lines(model: dict[str, Any]) -> list[str]:
    lines = ["", f"Model {held_out_line(model)}"]
    if model["corpus_changed"]:
        lines.append(
            "  Files of its corpus have changed since; a piece may be on another side of the split than in training"
        )
    lines += text_table(loss_table(model))
    fields = field_table(model)
    return [*lines, f"  {field_caption(model)}:", *text_table(fields)] if fields else lines


def _loss_cells(loss: dict[str, Any]) -> list[str]:
    values = (loss[k] for k in ("bits_per_note", "bits_per_bar", "bits_per_second", "perplexity_per_value"))
    return [f"{loss['rows']:,}", *map(number, values), number(loss["perplexity_per_row"])]
