"""What was found, as lines and tables for people."""

from typing import Any

from meloctl.evaluation.similarity_error import T

FEW = 10
"""Below so many pieces a warning stands beside the intervals."""

RELATION = {"same": "own part", "cross": "other parts"}


def number(value: float | None, *, sign: bool = False) -> str:
    """Three digits that matter, with a true minus sign; what they show as 0 has none."""
    if value is None:
        return "–"
    text = f"{value:{'+' if sign else ''}.{3 if abs(value) < 10 else 1}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("+-")


def percent(value: float | None) -> str:
    """As Similarity Error is told."""
    return "–" if value is None else f"{100 * value:.2f} %"


def count(n: int, what: str) -> str:
    """ "1 piece", "2 pieces"."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def interval(pair: list[float | None], *, sign: bool = False) -> str:
    """ "(0.1 to 0.2)"; nothing where it is not known."""
    low, high = pair
    return "" if low is None or high is None else f"({number(low, sign=sign)} to {number(high, sign=sign)})"


def table(rows: list[list[str]]) -> list[str]:
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = (c.rjust(w) for c, w in zip(others, widths[1:], strict=True))
        lines.append(f"  {first.ljust(widths[0])}  {'  '.join(cells)}".rstrip())
    return lines


def lines_of(facts: dict[str, Any]) -> list[str]:
    """Everything in `facts`, the object of evaluation.json."""
    lines = []
    if facts["judged"]:
        lines += set_lines(facts)
        lines += metric_lines(facts["metrics"], compared=facts["reference"] is not None)
        if facts["reference"]:
            lines += error_lines(facts["similarity_error"], facts["judged"]["pieces"])
            lines += copying_lines(facts["copying"])
    if facts["model"]:
        lines += model_lines(facts["model"])
    return lines


def set_lines(facts: dict[str, Any]) -> list[str]:
    """Which music is judged, and against which."""
    lines = []
    for name, key in (("Judged", "judged"), ("Reference", "reference")):
        if it := facts[key]:
            size = f"{count(it['pieces'], 'piece')}, {count(it['bars'], 'bar')}, {count(it['notes'], 'note')}"
            lines.append(f"{name}: {it['path']}: {size}; {len(it['skipped']):,} skipped")
            lines += [f"  skipped {s['path']}: {s['reason']}" for s in it["skipped"][:5]]
    if min(it["pieces"] for it in (facts["judged"], facts["reference"]) if it) < FEW:
        lines.append(
            f"  Fewer than {FEW} pieces: their intervals are too narrow, and what is marked with * is a hint at most"
        )
    if not facts["reference"]:
        lines.append("Reference: none; give one with --reference FOLDER, or run first: meloctl stats FOLDER")
    return lines


def metric_rows(metrics: list[dict[str, Any]], *, compared: bool) -> list[list[str]]:
    """Cells, the head first: means with 95 % intervals; a distance whose interval leaves out 0 is marked."""
    rows = [["", "mean", "95 %"] + (["reference", "95 %", "difference", "95 %", ""] if compared else [])]
    for m in metrics:
        row = [f"{m['name']} ({m['unit']})", number(m["mean"]), interval(m["interval"])]
        if compared:
            low, high = m["difference_interval"]
            apart = low is not None and high is not None and (low > 0 or high < 0)
            row += [number(m["reference_mean"]), interval(m["reference_interval"])]
            row += [number(m["difference"], sign=True), interval(m["difference_interval"], sign=True)]
            row += ["*" if apart else ""]
        rows.append(row)
    return rows


def metric_lines(metrics: list[dict[str, Any]], *, compared: bool) -> list[str]:
    """Means over pieces, beside the reference's where there is one."""
    lines = ["", "Means over pieces (nearer to the reference is better, not higher):"]
    lines += table(metric_rows(metrics, compared=compared))
    return [*lines, "  * farther from the reference than the choice of pieces explains"] if compared else lines


def error_rows(errors: list[dict[str, Any]]) -> list[list[str]]:
    """Cells, the head first: Similarity Error by variant; one beyond what real pieces make is marked."""
    rows = [["", "error", "real", "95 % below", ""]]
    for e in errors:
        beyond = e["error"] is not None and e["real_95"] is not None and e["error"] > e["real_95"]
        few = f" ({e['offsets']} offsets)" if 0 < e["offsets"] < T else ""
        name = f"{e['similarity']}, {RELATION[e['relation']]}{few}"
        rows.append([name, percent(e["error"]), percent(e["real"]), percent(e["real_95"]), "*" if beyond else ""])
    return rows


def error_lines(errors: list[dict[str, Any]], pieces: int) -> list[str]:
    """Similarity Error, and how to read it."""
    return [
        "",
        f"Similarity Error (mean distance of both curves, 1 to {T} bars back; 0 is equal; museformer is the paper's):",
        *table(error_rows(errors)),
        f"  real: of {count(pieces, 'reference piece')} drawn by lot; * larger than that in 95 of 100 draws",
    ]


def copying_rows(copying: dict[str, Any]) -> list[list[str]]:
    """Cells, the head first: what the judged pieces share with the reference, and its own pieces with each other."""
    rows = [["", "judged", "reference among itself"]]
    for name, key, form in (
        ("longest shared run, median (notes)", "longest_run_median", "{:.0f}"),
        ("longest shared run, most (notes)", "longest_run_most", "{:.0f}"),
        ("in shared runs, mean (share of notes)", "copied_share_mean", "{:.3f}"),
        ("in shared runs, most (share of notes)", "copied_share_most", "{:.3f}"),
        ("likeness to the nearest piece, median", "nearest_median", "{:.3f}"),
        ("near copies (pieces)", "near_copies", "{:.0f}"),
        ("of (pieces)", "pieces", "{:.0f}"),
    ):
        both = (copying, copying["among_reference"] or {})
        rows.append([name, *("–" if (x := c.get(key)) is None else form.format(x) for c in both)])
    return rows


def copying_lines(copying: dict[str, Any]) -> list[str]:
    """Copies from the reference, and what counts as one."""
    return [
        "",
        "Copies: notes of one part in a row with equal intervals and waits, repeated figures counted once; "
        f"copied from {copying['run_counts_from']} notes, near copy from a likeness of {copying['near_copy_from']}:",
        *table(copying_rows(copying)),
    ]


def cost_rows(model: dict[str, Any]) -> list[list[str]]:
    """Cells, the head first: the cost of held-out music in windows and by length, as far as a piece is so long."""
    rows = [["", "rows", "bits a note", "a bar", "a second", "perplexity a value", "a row"]]
    for side, cost in model["windows"].items():
        rows.append([f"{side}, windows of {model['context']:,} rows", *_cost_cells(cost)])
    by_length, before = model["by_length"], 0
    for n, cost in by_length["rows"].items():
        if cost["rows"] > before:
            rows.append([f"{by_length['side']}, first {int(n):,} rows of each piece", *_cost_cells(cost)])
        before = cost["rows"]
    return rows


def field_rows(model: dict[str, Any]) -> list[list[str]]:
    """Cells, the head first: the cost of each field in the longest stretches; nothing where no piece was heard."""
    costs = list(model["by_length"]["rows"].values())[-1:]
    fields = [[f, number(x["perplexity"]), number(x["bits_per_note"])] for c in costs for f, x in c["fields"].items()]
    return [["", "perplexity", "bits a note"], *fields] if fields else []


def model_lines(model: dict[str, Any]) -> list[str]:
    """What held-out music costs the model."""
    sides = ", ".join(f"{n:,} {side}" for side, n in model["pieces"].items())
    lines = ["", f"Model {model['run']}: pieces held out: {sides}"]
    if model["corpus_changed"]:
        lines.append("  Files of its corpus have changed since; a piece may lie on another side than in training")
    lines += table(cost_rows(model))
    fields = field_rows(model)
    return [*lines, "  By field, of the longest stretches:", *table(fields)] if fields else lines


def _cost_cells(cost: dict[str, Any]) -> list[str]:
    values = (cost[k] for k in ("bits_per_note", "bits_per_bar", "bits_per_second", "perplexity_per_value"))
    return [f"{cost['rows']:,}", *map(number, values), f"{cost['perplexity_per_row']:,.1f}"]
