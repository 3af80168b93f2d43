"""Titles of measures, and results of the test of periods in words."""

import math

from analysis.significance import LEAST_PEAK, LEVEL, Peak
from analysis.similarity import MEASURES
from meloctl.formatting import NOTHING, count, interval, number, one_decimal
from meloctl.report.report_table import ReportCurve, ReportTable

FEW_PIECES = 10
"""Below this many pieces, a warning stands beside the intervals."""

LEAST_P = LEVEL / 20
"""No smaller p is written: about two thousand corpora of shuffled bars were compared."""


def p_value(p: float | None) -> str:
    """A p-value with three decimals, never 0: "0.012", "≤ 0.0005"."""
    if p is None or not math.isfinite(p):
        return NOTHING
    return f"≤ {LEAST_P:.4f}" if p <= LEAST_P else f"{max(p, 0.001):.3f}"


def p_equals(p: float) -> str:
    """ "p = 0.012" or "p ≤ 0.0005"."""
    value = p_value(p)
    return f"p {value}" if value.startswith("≤") else f"p = {value}"


def title_of(measure: str) -> str:
    """What a measure compares, as a title; its name where it is none of ours."""
    return next((m.title for m in MEASURES if m.name == measure), measure)


def period_in_short(curve: ReportCurve | None) -> str:
    """ "every 4 bars", "none found", "not tested"."""
    if curve is None or not curve.peaks:
        return "not tested"
    return f"every {count(curve.period, 'bar')}" if curve.period else "none found"


def period_in_words(curve: ReportCurve) -> str:
    """The result of the test of a curve's peaks, in one or two sentences."""
    if not curve.peaks:
        return "not tested: too few bars, or a table without evidence."
    at = {p.offset: p for p in curve.peaks}
    period = curve.period
    if period is None:
        return f"no period was found. {why_none(curve)}".rstrip()
    highest = max((p for p in curve.peaks if p.real), key=lambda p: p.height)
    more = (
        f" The highest peak is {highest.offset} back, by {number(highest.height)}." if highest.offset != period else ""
    )
    return f"a period of {count(period, 'bar')}: {_peak_in_words(at[period])}.{more}"


def why_none(curve: ReportCurve) -> str:
    """Why the highest peak of a curve without a period is not real, in a sentence; empty where no peak was measured."""
    known = [p for p in curve.peaks if math.isfinite(p.height)]
    if not known:
        return ""
    best = max(known, key=lambda p: p.height)
    why = f"shuffled bars show as much: {p_equals(best.p)}"
    if best.p <= LEVEL:
        why = "a few pieces carry it"
        if best.height < LEAST_PEAK:
            why = f"certain ({p_equals(best.p)}), but below the {LEAST_PEAK:g} that a period must have"
    return f"The highest peak is {best.offset} back, by {number(best.height)}; {why}."


def _peak_in_words(peak: Peak) -> str:
    spread = f"{interval(peak.interval)}; effect size {one_decimal(peak.effect)}; " if peak.pieces > 1 else ""
    return (
        f"the bar {peak.offset} back stands out from its neighbours by {number(peak.height)} "
        f"({spread}{p_equals(peak.p)}; {count(peak.pieces, 'piece')})"
    )


def caution(table: ReportTable) -> str | None:
    """A warning where the evidence is weak or missing, else None."""
    if not table.has_intervals and not table.has_chance:
        return (
            "This table holds means only: how far they would move with other pieces, and what chance would give, is unknown. "
            "To find out, measure the files themselves: meloctl stats FOLDER."
        )
    if table.pieces == 1:
        return (
            "This is one piece. The results hold for it alone; intervals over pieces need more than one, and those shown "
            "have no width."
        )
    if table.pieces is not None and table.pieces < FEW_PIECES:
        return f"Only {table.pieces} pieces: intervals over so few are rough, and other pieces may give other results."
    return None
