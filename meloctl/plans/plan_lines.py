"""What plans say, as lines for people."""

from typing import Any

from meloctl.formatting import NOTHING, count, number, percent, text_table, with_interval


def plan_lines(measured: dict[str, Any]) -> list[str]:
    """The "plans" of a run's results as lines."""
    pieces, shares = measured["pieces"], measured["component_shares"]
    held_out = pieces["validation"] + pieces["test"]
    table = [["attribute", "mean", "deviation", "R² held out (95 %)", "unit"]]
    table += [
        [name, number(of["mean"]), number(of["deviation"]), _score(of["probe"]), of["unit"]]
        for name, of in measured["attributes"].items()
    ]
    course = measured["course"]
    apart = [f"{k}: {number(e['value'])}" for k, e in course["autocorrelation"].items() if e["value"] is not None]
    return [
        f"{count(sum(pieces.values()), 'piece')}, {count(measured['bars'], 'bar')}: plans of {measured['plan_width']} numbers "
        f"by {measured['model']}",
        f"Principal components: {percent(shares[0])} of the variance on the first, {percent(sum(shares[:2]))} on two, "
        f"{percent(sum(shares[:4]))} on four",
        f"Linear probes from the plan of a bar, judged on {count(held_out, 'held-out piece')}:",
        *text_table(table),
        f"Between the bars of a piece: variance {_interval(course['variance'])}; autocorrelation by bars apart "
        f"{', '.join(apart) or NOTHING}",
    ]


def _score(probe: dict[str, float | None] | None) -> str:
    return NOTHING if probe is None else _interval(probe)


def _interval(e: dict[str, float | None]) -> str:
    return with_interval(e["value"], (e["low"], e["high"]))
