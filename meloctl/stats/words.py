"""What `meloctl stats` found, as lines of text."""

from pathlib import Path
from typing import Any

from analysis.labels import RELATION_WORDS
from analysis.measure_corpus import MeasuredCorpus
from analysis.significance import LEAST_PEAK, LEVEL, Evidence, Peak, period_of
from analysis.similarity import BRIEF, Measure
from meloctl.formatting import count, count_range, whole

_OFFSETS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32)


_MOST_NAMED = 10
"""Skipped files that are named to people."""


def lines_of(measured: MeasuredCorpus, evidence: Evidence, skipped: list[dict[str, str]]) -> list[str]:
    """What was read and how alike bars are, for people."""
    lines = [
        f"{count(measured.pieces, 'piece')} read, {whole(measured.skipped)} skipped: {count(measured.notes, 'note')} "
        f"in {count(measured.bars, 'bar')}, {count_range(*measured.parts, 'part')} a piece"
    ]
    lines += [f"  skipped {Path(s['path']).name}: {s['reason']}" for s in skipped[:_MOST_NAMED]]
    if measured.skipped > _MOST_NAMED:
        lines.append(f"  and {measured.skipped - _MOST_NAMED:,} more, all in skipped.csv")
    if beats := measured.one_beat_bars:
        fix = "pass --meter 4/4 if the music is in four (it overrides every file)"
        if 2 * beats < measured.pieces:
            fix = "put such files in a folder of their own and pass --meter 4/4 there, if the music is in four"
        lines.append(
            f"  {count(beats, 'piece has', 'pieces have')} bars of one beat: there offsets count beats, not bars; "
            f"{fix}. meloctl corpus check shows more"
        )
    for measure in BRIEF:
        lines += _curve_lines(measured, evidence, measure)
    return lines


def _curve_lines(measured: MeasuredCorpus, evidence: Evidence, measure: Measure) -> list[str]:
    name = measure.name
    rows: dict[str, dict[int, Any]] = {"same": {}, "cross": {}}
    for row in measured.table.rows():
        if row.measure == name:
            rows[row.relation][row.offset] = row
    if not any(rows.values()):
        return [f"Similarity ({name}): nothing to compare, no pitched part has two bars"]
    lines = [f"Similarity ({name}: {measure.title.lower()}; mean over all pairs) by offset in bars:"]
    shown = [k for k in _OFFSETS if any(k in r for r in rows.values())]
    lines.append("  offset       " + "".join(f"{k:7d}" for k in shown))
    m = evidence.measures.index(name)
    for r, (relation, label) in enumerate(RELATION_WORDS.items()):
        mine = rows[relation]
        if not mine:
            continue
        cells = (f"{mine[k].mean:7.3f}" if k in mine else "      -" for k in shown)
        chance = (f"{evidence.chance[m, r, k]:7.3f}" if k in mine and measured.shuffled else "      -" for k in shown)
        lines.append(f"  {label:13s}" + "".join(cells))
        lines.append(f"  {'  by chance':13s}" + "".join(chance))
        lines.append(
            f"    {period_sentence([p for p in evidence.peaks if (p.measure, p.relation) == (name, relation)])}"
        )
    return lines


def _why_not(peak: Peak) -> str:
    """Why a peak is not real."""
    if not peak.p <= LEVEL:
        return f"shuffled bars show as much (p = {peak.p:.2f})"
    if peak.height < LEAST_PEAK:
        return f"that is below the {LEAST_PEAK} that a listener would notice"
    return f"a few pieces carry it (95 % interval {peak.interval[0]:.3f} to {peak.interval[1]:.3f})"


def period_sentence(peaks: list[Peak]) -> str:
    """What the test of a curve's peaks says, in a sentence."""
    if not peaks:
        return "too few bars to look for a period"
    period, at = period_of(peaks), {p.offset: p for p in peaks}
    if period is None:
        best = max(peaks, key=lambda p: p.height)
        real = [str(p.offset) for p in peaks if p.real]
        if real:
            stand = "stands out from its neighbours" if len(real) == 1 else "stand out from their neighbours"
            return f"no period, though {', '.join(real)} back {stand} (by {best.height:.3f} at most)"
        return (
            f"no period: the highest offset, {best.offset} back, stands out by {best.height:.3f}, but {_why_not(best)}"
        )
    highest_first = sorted((p.offset for p in peaks if p.real), key=lambda k: -at[k].height)
    peak, highest = at[period], at[highest_first[0]]
    low, high = peak.interval
    spread = f"{low:.3f} to {high:.3f}; {peak.effect:.1f} deviations over pieces" if peak.pieces > 1 else "one piece"
    more = f"; highest {highest.offset} back, by {highest.height:.3f}" if highest.offset != period else ""
    return (
        f"period {period}: {period} back stands out from its neighbours by {peak.height:.3f} "
        f"({spread}; p ≤ {peak.p:.4f}){more}"
    )
