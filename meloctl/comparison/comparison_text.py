"""comparison.json as tables of cells, for the terminal and the page, and as lines for the terminal."""

from typing import Any

from analysis.offsets import RELATIONS
from analysis.similarity import ONSET_JACCARD, PC_JACCARD
from meloctl.comparison.conclusions import is_marked
from meloctl.evaluation.evaluation_text import Table, beyond_real, copying_rows, excludes_zero, variant_name
from meloctl.formatting import (
    NOTHING,
    byte_size,
    count,
    interval,
    millions,
    number,
    one_decimal,
    percent,
    text_table,
    whole,
    with_interval,
)

TERMINAL_VARIANTS = (("museformer", "same"), *((PC_JACCARD.name, r) for r in RELATIONS), (ONSET_JACCARD.name, "same"))
"""Variants of Similarity Error that the terminal shows; the page shows all."""


def comparison_lines(comparison: dict[str, Any]) -> list[str]:
    """The object of comparison.json as lines: runs, quality, cost, music, notes and conclusions."""
    side = comparison["held_out"]["side"]
    held_out = comparison["held_out"][side]
    pieces = f"{count(held_out['pieces'], f'{side} piece')}, {count(held_out['notes'], 'note')}"
    lines = [f"{len(comparison['runs'])} runs on {comparison['corpus']['path']}; {pieces}", ""]
    lines += text_table(run_table(comparison))
    lines += ["", *(f"  {run['letter']}: {run['mask']}" for run in comparison["runs"])]
    lines += ["", "Cost (ratio: to A's; all but training measured now, in turns):", *text_table(cost_table(comparison))]
    lines += [f"  {line}" for line in generation_errors(comparison)]
    if comparison["music"]:
        pieces = count(comparison["music"]["pieces"], "piece")
        lines += ["", f"Similarity Error of {pieces} each (0 is equal to the corpus):"]
        lines += text_table(error_table(comparison, terminal=True))
        lines.append("  * larger than in 95 of 100 draws of random real pieces")
    lines += ["", *(f"Note: {note}" for note in comparison["notes"])]
    return [*lines, "", *comparison["conclusions"]]


def full_name(run: dict[str, Any]) -> str:
    """Letter and folder of a run: "A tiny-c37778ad"."""
    return f"{run['letter']} {run['name']}"


def short_name(run: dict[str, Any]) -> str:
    """Letter and model of a run: "B museformer/tiny"."""
    return f"{run['letter']} {run['model']}"


def run_table(comparison: dict[str, Any]) -> Table:
    """Each run, what it is, and its bits a note on the side that decides."""
    first, side = comparison["runs"][0]["letter"], comparison["held_out"]["side"]
    head = [
        "",
        "parameters",
        "minutes",
        "steps",
        "mask shows",
        f"bits a note ({side})",
        "95 %",
        f"less {first}'s",
        "95 %",
    ]
    rows = [[*head, ""]]
    for run in comparison["runs"]:
        training = run["training"]
        rows.append(
            [
                full_name(run),
                millions(run["parameters"]),
                one_decimal(training["minutes"]),
                whole(training["steps"]),
                percent(run["density"]),
                *_quality_cells(run["bits"][side]),
            ]
        )
    return rows


def quality_table(comparison: dict[str, Any]) -> Table:
    """Bits a note of every run on both sides, and on the first rows of each piece."""
    first = comparison["runs"][0]["letter"]
    rows = [["", "of", "bits a note", "95 %", f"less {first}'s", "95 %", ""]]
    for side in ("validation", "test"):
        for run in comparison["runs"]:
            if run["bits"][side]:
                rows.append([short_name(run), f"{side} pieces", *_quality_cells(run["bits"][side])])
    for n in comparison["runs"][0]["by_length"]:
        for run in comparison["runs"]:
            rows.append([short_name(run), f"the first {int(n):,} rows of each", *_quality_cells(run["by_length"][n])])
    return rows


def field_table(comparison: dict[str, Any]) -> Table:
    """Bits a note of each field, of the first run, and the differences of the others to it."""
    side, runs = comparison["held_out"]["side"], comparison["runs"]
    first, *others = runs
    rows = [["", f"{first['letter']}: bits a note", *(f"{run['letter']} less {first['letter']}" for run in others)]]
    for name, field in first["bits"][side]["fields"].items():
        cells = [number(field["bits_per_note"])]
        for run in others:
            other = run["bits"][side]["fields"][name]
            difference, ends = other["difference"], other["difference_interval"]
            cells.append(f"{with_interval(difference, ends, sign=True)}{' *' if is_marked(difference, ends) else ''}")
        rows.append([name, *cells])
    return rows


def cost_table(comparison: dict[str, Any]) -> Table:
    """Time and memory of each run: training, forward pass, generation."""
    forward = ["s for 1,000 rows", "ratio", "quartiles"]
    generation = ["generation, notes/s", "ratio", "quartiles", "keys and values", "a row"]
    rows = [["", "training, rows/s", *forward, *generation]]
    for run in comparison["runs"]:
        rows.append(
            [
                short_name(run),
                whole(run["training"]["rows_per_second"]),
                number(run["forward"]["seconds_per_thousand_rows"]),
                *_ratio_cells(run["forward"]),
                whole(run["generation"]["notes_per_second"]),
                *_ratio_cells(run["generation"]),
                byte_size(run["generation"]["cache_bytes"]),
                byte_size(run["generation"]["cache_bytes_per_row"]),
            ]
        )
    return rows


def generation_errors(comparison: dict[str, Any]) -> list[str]:
    """Why runs generated no music, a line a reason."""
    reasons: dict[str, list[str]] = {}
    for run in comparison["runs"]:
        if error := run["generation"]["error"]:
            reasons.setdefault(error, []).append(run["letter"])
    return [f"{', '.join(letters)}: generation was not measured: {error}" for error, letters in reasons.items()]


def error_table(comparison: dict[str, Any], *, terminal: bool = False) -> Table:
    """Similarity Error by variant: of random real pieces, then of the runs; `terminal`: only TERMINAL_VARIANTS."""
    runs = runs_with_music(comparison)
    rows = [["", "real", "95 % below", *(run["letter"] for run in runs)]]
    for v, e in enumerate(runs[0]["music"]["similarity_error"]):
        if terminal and (e["similarity"], e["relation"]) not in TERMINAL_VARIANTS:
            continue
        errors = [run["music"]["similarity_error"][v] for run in runs]
        cells = [f"{percent(x['error'], decimals=2)}{' *' if beyond_real(x) else ''}" for x in errors]
        rows.append([variant_name(e), percent(e["real"], decimals=2), percent(e["real_95"], decimals=2), *cells])
    return rows


def metric_table(comparison: dict[str, Any]) -> Table:
    """Mean of each metric, of the corpus and of the runs; a run that differs from the corpus is marked."""
    runs = runs_with_music(comparison)
    rows = [["", "corpus", *(run["letter"] for run in runs)]]
    for m, metric in enumerate(runs[0]["music"]["metrics"]):
        own = [run["music"]["metrics"][m] for run in runs]
        cells = [
            f"{with_interval(x['mean'], x['interval'])}{' *' if excludes_zero(x['difference_interval']) else ''}"
            for x in own
        ]
        corpus = with_interval(metric["reference_mean"], metric["reference_interval"])
        rows.append([f"{metric['name']} ({metric['unit']})", corpus, *cells])
    return rows


def copying_table(comparison: dict[str, Any]) -> Table:
    """What the corpus's pieces share with each other, and each run's pieces with the corpus."""
    runs = runs_with_music(comparison)
    columns = [comparison["music"]["among_reference"] or {}, *(run["music"]["copying"] for run in runs)]
    return [["", "within the corpus", *(run["letter"] for run in runs)], *copying_rows(columns)]


def runs_with_music(comparison: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that generated music."""
    return [run for run in comparison["runs"] if run["music"]]


def _quality_cells(quality: dict[str, Any]) -> list[str]:
    """Bits a note, its interval, difference to the first run, that interval, a mark where it excludes 0."""
    cells = [number(quality["bits_per_note"]), interval(quality["interval"])]
    difference, ends = quality["difference"], quality["difference_interval"]
    if difference is None:
        return [*cells, NOTHING, "", ""]
    return [
        *cells,
        number(difference, sign=True),
        interval(ends, sign=True),
        "*" if is_marked(difference, ends) else "",
    ]


def _ratio_cells(cost: dict[str, Any]) -> list[str]:
    """Ratio to the first run's, and its quartiles over the rounds."""
    if cost["ratio"] is None:
        return [NOTHING, ""]
    low, high = cost["ratio_range"]
    return [f"{cost['ratio']:.2f}", f"{low:.2f} to {high:.2f}"]
