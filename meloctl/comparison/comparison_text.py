"""A comparison as tables of cells, for the screen and for the page, and as lines for people."""

from collections.abc import Sequence
from typing import Any

from analysis.offsets import RELATIONS
from analysis.similarity import ONSET_JACCARD, PC_JACCARD
from meloctl.comparison.conclusions import clear, marked
from meloctl.evaluation.evaluation_text import RELATION, count, interval, number, percent, table

SHORT = (("museformer", "same"), *((PC_JACCARD.name, r) for r in RELATIONS), (ONSET_JACCARD.name, "same"))
"""Variants of Similarity Error on the screen; the page has all."""

_NOTHING = "–"


def lines_of(facts: dict[str, Any]) -> list[str]:
    """A short account: who is compared, quality, cost, music, what to know, and the verdict."""
    side = facts["heard"]["side"]
    heard = facts["heard"][side]
    said = f"{count(heard['pieces'], 'piece')} held out to {'test' if side == 'test' else 'validate'} on"
    lines = [f"{len(facts['runs'])} runs on {facts['corpus']['path']}; {said}, {count(heard['notes'], 'note')}", ""]
    lines += table(run_rows(facts))
    lines += ["", *(f"  {run['letter']}: {run['mask']}" for run in facts["runs"])]
    lines += ["", "Cost (times: of A's; all but training measured now, in turns):", *table(cost_rows(facts))]
    lines += [f"  {line}" for line in silent(facts)]
    if facts["music"]:
        lines += [
            "",
            f"Similarity Error of {count(facts['music']['pieces'], 'piece')} each (0 is equal to the corpus):",
        ]
        lines += table([row for row in error_rows(facts) if row[0] in ("", *map(_variant, SHORT))])
        lines.append("  * larger than real pieces drawn by lot make in 95 of 100 draws")
    lines += ["", *(f"Note: {note}" for note in facts["notes"])]
    return [*lines, "", *facts["verdict"]]


def named(run: dict[str, Any]) -> str:
    """ "A tiny-c37778ad"."""
    return f"{run['letter']} {run['name']}"


def called(run: dict[str, Any]) -> str:
    """ "B museformer/tiny": shorter, where its name stands elsewhere."""
    return f"{run['letter']} {run['model']}"


def share(value: float | None) -> str:
    """ "83 %"."""
    return _as(value, "{:.0f} %", 100)


def run_rows(facts: dict[str, Any]) -> list[list[str]]:
    """Cells, the head first: each run, what it is, and its bits a note where they count most."""
    first, side = facts["runs"][0]["letter"], facts["heard"]["side"]
    rows = [
        [
            "",
            "parameters",
            "minutes",
            "steps",
            "mask shows",
            f"bits a note ({side})",
            "95 %",
            f"less {first}'s",
            "95 %",
            "",
        ]
    ]
    for run in facts["runs"]:
        training = run["training"]
        rows.append(
            [
                named(run),
                f"{run['parameters'] / 1e6:.1f}M",
                _as(training["minutes"], "{:.1f}"),
                _as(training["steps"], "{:,}"),
                share(run["density"]),
                *quality_cells(run["bits"][side]),
            ]
        )
    return rows


def quality_cells(quality: dict[str, Any]) -> list[str]:
    """Bits a note, its interval, how much more than the first run's, that interval, and a mark where it leaves out 0."""
    cells = [number(quality["bits_per_note"]), interval(quality["interval"])]
    if quality["difference"] is None:
        return [*cells, _NOTHING, "", ""]
    apart = quality["difference_interval"]
    return [
        *cells,
        number(quality["difference"], sign=True),
        interval(apart, sign=True),
        "*" if marked(quality["difference"], apart) else "",
    ]


def quality_rows(facts: dict[str, Any]) -> list[list[str]]:
    """Cells, the head first: every run on both sides and by length."""
    first = facts["runs"][0]["letter"]
    rows = [["", "of", "bits a note", "95 %", f"less {first}'s", "95 %", ""]]
    for side in ("validation", "test"):
        for run in facts["runs"]:
            if run["bits"][side]:
                rows.append([called(run), f"{side} pieces", *quality_cells(run["bits"][side])])
    for n in facts["runs"][0]["by_length"]:
        for run in facts["runs"]:
            rows.append([called(run), f"the first {int(n):,} rows of each", *quality_cells(run["by_length"][n])])
    return rows


def field_rows(facts: dict[str, Any]) -> list[list[str]]:
    """Cells, the head first: of each field, bits a note of the first run and how much more the others take."""
    side, runs = facts["heard"]["side"], facts["runs"]
    first, *others = runs
    rows = [["", f"{first['letter']}: bits a note", *(f"{run['letter']} less {first['letter']}" for run in others)]]
    for name, field in first["bits"][side]["fields"].items():
        cells = [number(field["bits_per_note"])]
        for run in others:
            apart = run["bits"][side]["fields"][name]
            mark = " *" if marked(apart["difference"], apart["difference_interval"]) else ""
            cells.append(
                f"{number(apart['difference'], sign=True)} {interval(apart['difference_interval'], sign=True)}{mark}"
            )
        rows.append([name, *cells])
    return rows


def cost_rows(facts: dict[str, Any]) -> list[list[str]]:
    """Cells, the head first: what each run costs to train, to hear with and to write with."""
    head = [
        "",
        "training, rows/s",
        "s for 1,000 rows",
        "times",
        "",
        "writing, notes/s",
        "times",
        "",
        "keys and values",
        "a row",
    ]
    rows = [head]
    for run in facts["runs"]:
        forward, writing = run["forward"], run["generation"]
        rows.append(
            [
                called(run),
                _as(run["training"]["rows_per_second"], "{:,.0f}"),
                f"{forward['seconds_per_thousand_rows']:#.3g}",
                *_times(forward),
                _as(writing["notes_per_second"], "{:,.0f}"),
                *_times(writing),
                _as(writing["cache_bytes"], "{:.1f} MB", 1e-6),
                _as(writing["cache_bytes_per_row"], "{:.1f} kB", 1e-3),
            ]
        )
    return rows


def silent(facts: dict[str, Any]) -> list[str]:
    """Why runs wrote nothing, a line a reason."""
    reasons: dict[str, list[str]] = {}
    for run in facts["runs"]:
        if why := run["generation"]["why_not"]:
            reasons.setdefault(why, []).append(run["letter"])
    return [f"{', '.join(letters)}: writing was not measured: {why}" for why, letters in reasons.items()]


def error_rows(facts: dict[str, Any]) -> list[list[str]]:
    """Cells, the head first: Similarity Error by variant, real music first, then the runs."""
    runs = _writers(facts)
    rows = [["", "real", "95 % below", *(run["letter"] for run in runs)]]
    for v, e in enumerate(runs[0]["music"]["similarity_error"]):
        errors = [run["music"]["similarity_error"][v] for run in runs]
        cells = [f"{percent(x['error'])}{_mark(x)}" for x in errors]
        rows.append([_variant((e["similarity"], e["relation"])), percent(e["real"]), percent(e["real_95"]), *cells])
    return rows


def metric_rows(facts: dict[str, Any]) -> list[list[str]]:
    """Cells, the head first: each metric's mean of the corpus and of the runs; what is apart from the corpus is marked."""
    runs = _writers(facts)
    rows = [["", "corpus", *(run["letter"] for run in runs)]]
    for m, metric in enumerate(runs[0]["music"]["metrics"]):
        told = [run["music"]["metrics"][m] for run in runs]
        cells = [
            f"{number(x['mean'])} {interval(x['interval'])}{' *' if clear(x['difference_interval']) else ''}"
            for x in told
        ]
        corpus = f"{number(metric['reference_mean'])} {interval(metric['reference_interval'])}"
        rows.append([f"{metric['name']} ({metric['unit']})", corpus, *cells])
    return rows


def copy_rows(facts: dict[str, Any]) -> list[list[str]]:
    """Cells, the head first: what each run's pieces share with the corpus, and its own pieces with each other."""
    runs = _writers(facts)
    columns = [facts["music"]["among_reference"] or {}, *(run["music"]["copying"] for run in runs)]
    rows = [["", "corpus among itself", *(run["letter"] for run in runs)]]
    for name, key, form in (
        ("longest shared run, median (notes)", "longest_run_median", "{:.0f}"),
        ("longest shared run, most (notes)", "longest_run_most", "{:.0f}"),
        ("in shared runs, mean (share of notes)", "copied_share_mean", "{:.3f}"),
        ("near copies (pieces)", "near_copies", "{:.0f}"),
        ("of (pieces)", "pieces", "{:.0f}"),
    ):
        rows.append([name, *(_as(column.get(key), form) for column in columns)])
    return rows


def _writers(facts: dict[str, Any]) -> list[dict[str, Any]]:
    return [run for run in facts["runs"] if run["music"]]


def _variant(variant: Sequence[str]) -> str:
    similarity, relation = variant
    return f"{similarity}, {RELATION[relation]}"


def _mark(error: dict[str, Any]) -> str:
    known = error["error"] is not None and error["real_95"] is not None
    return " *" if known and error["error"] > error["real_95"] else ""


def _times(cost: dict[str, Any]) -> list[str]:
    """How many times the first run's, and in which range over the turns."""
    if cost["ratio"] is None:
        return [_NOTHING, ""]
    low, high = cost["ratio_range"]
    return [f"{cost['ratio']:.2f}", f"({low:.2f} to {high:.2f})"]


def _as(value: float | None, form: str, times: float = 1) -> str:
    return _NOTHING if value is None else form.format(times * value)
