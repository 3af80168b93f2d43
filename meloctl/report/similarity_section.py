"""The sections on similarity: its curves by offset, the test of their periods, the breakdown by instrument family."""

from collections.abc import Iterator
from itertools import chain

from analysis.labels import RELATION_WORDS
from analysis.offsets import RELATIONS
from analysis.similarity import BRIEF
from meloctl.formatting import NOTHING, interval, number, whole
from meloctl.html.blocks import code, details, figure, paragraph, section, table
from meloctl.html.markup import Content, Html, tag
from meloctl.report.curve_charts import curve_chart, peak_chart
from meloctl.report.family_heat_maps import by_offset_map, same_bar_map
from meloctl.report.report_facts import ReportFacts
from meloctl.report.report_table import ReportCurve, ReportTable
from meloctl.report.report_text import p_value, period_in_short, period_in_words, title_of

_TEST = (
    "Each offset is compared with the mean of its two neighbours: the height is how far it stands out. A peak is real "
    "when it is certain (p of 0.01 or less, corrected for the number of offsets), at least 0.005 high, and its interval "
    "lies above zero. The period is the smallest offset whose peak is real and at least half as high as the peaks at "
    "twice, three times … that distance, up to 16 bars."
)


def curves_section(facts: ReportFacts) -> Html:
    """A chart for each measure, and a table of its numbers."""
    offsets = facts.table
    charts = [figure(curve_chart(offsets, m), [tag("strong", title_of(m)), " ", code(m)]) for m in offsets.measures]
    return section(
        "curves",
        "How alike bars are, by offset",
        paragraph(
            "Each point compares all pairs of bars that lie so many bars apart, within one part (blue, round) and between two "
            "different parts of a piece (red, square). Higher is more alike; 1 is equal. Where a curve rises above its "
            "neighbours, the music returns."
        ),
        _curve_legend(offsets),
        tag("div", *charts, class_="charts"),
        details("The numbers behind the curves", *(_numbers(offsets, m) for m in offsets.measures)),
    )


def period_section(facts: ReportFacts) -> Html:
    """The test of periods in words, charts and tables."""
    offsets = facts.table
    if not any(c.peaks for c in offsets.curves.values()):
        return section(
            "period",
            "Is there a period?",
            paragraph("This table holds no test of its peaks, so whether the curves rise by chance is unknown."),
        )
    charts = []
    for m in offsets.measures:
        chart = peak_chart(offsets, m)
        if chart:
            words = [paragraph(tag("strong", title_of(m)), " ", code(m)), *_in_words(offsets, m)]
            charts.append(figure(chart, words))
    return section(
        "period",
        "Is there a period?",
        paragraph(_TEST),
        _periods(offsets),
        _peak_legend(),
        tag("div", *charts, class_="charts"),
        details("Every offset that was tested", *(_peaks(offsets, m) for m in offsets.measures)),
    )


def families_section(facts: ReportFacts) -> Html:
    """Heat maps of the main measures."""
    maps = []
    for measure in (m.name for m in BRIEF):
        family_map = facts.families.get(measure)
        if family_map is None:
            continue
        maps.append(tag("h3", tag("span", title_of(measure)), " ", code(measure)))
        if family_map.families:
            maps.append(same_bar_map(family_map, f"{title_of(measure)}: two parts in the same bar"))
        if family_map.own or family_map.across:
            maps.append(
                by_offset_map(
                    family_map, f"{title_of(measure)}: by offset in bars back, the families compared most often"
                )
            )
    missing = paragraph("The table stands alone: no families.csv lies beside it.") if not maps else None
    return section(
        "families",
        "Which instruments are alike",
        paragraph(
            "Instruments by family of General MIDI. Every number is a mean over pairs of bars; point at one for how many."
        )
        if maps
        else missing,
        *maps,
    )


def _peak_legend() -> Html:
    def swatches(kind: str) -> list[Html]:
        return [tag("span", class_=f"swatch bar {relation}{kind}") for relation in RELATIONS]

    return paragraph(
        tag("span", *swatches(""), " real peak"),
        tag("span", *swatches(" unsure"), " not real"),
        tag("span", tag("span", class_="swatch whisker"), " 95 % interval over pieces"),
        tag("span", "the two relations have scales of their own"),
        class_="legend",
    )


def _curve_legend(offsets: ReportTable) -> Html:
    """A legend of what the curves' charts hold."""
    relations = [r for r in RELATIONS if any(relation == r for _, relation in offsets.curves)]

    def swatches(kind: str) -> list[Html]:
        return [tag("span", class_=f"swatch {kind} {r}") for r in relations]

    lines = [
        tag("span", s, f" {RELATION_WORDS[r]}, all pairs") for r, s in zip(relations, swatches("line"), strict=True)
    ]
    if offsets.has_intervals:
        lines.append(tag("span", *swatches("band"), " 95 % interval over pieces"))
    if any(p.piece_mean is not None for c in offsets.curves.values() for p in c.points):
        lines.append(tag("span", *swatches("ring"), " mean of pieces"))
    if offsets.has_chance:
        lines.append(tag("span", *swatches("chance"), " chance: bars shuffled"))
    else:
        lines.append(tag("span", "chance and intervals: unknown, not in this table"))
    return paragraph(*lines, class_="legend")


def _numbers(offsets: ReportTable, measure: str) -> Html:
    head = [
        "Relation",
        "bars back",
        "pairs",
        "mean",
        "95 % over pieces",
        "mean of pieces",
        "95 %",
        "chance",
        "95 % of chance",
    ]
    rows = [
        (
            RELATION_WORDS[curve.relation],
            p.offset,
            whole(p.pairs),
            number(p.mean),
            interval(p.interval),
            number(p.piece_mean),
            interval(p.piece_interval),
            number(p.chance),
            interval(p.chance_interval),
        )
        for curve in _both(offsets, measure)
        for p in curve.points
    ]
    return table(head, rows, caption=f"{title_of(measure)} ({measure})")


def _in_words(offsets: ReportTable, measure: str) -> list[Html]:
    return [
        paragraph(f"{RELATION_WORDS[curve.relation].capitalize()}: ", period_in_words(curve))
        for curve in _both(offsets, measure)
    ]


def _periods(offsets: ReportTable) -> Html:
    head = ["Measure", "relation", "period", "height", "95 % over pieces", "effect size", "p", "pieces", "highest at"]
    rows = [_period_row(curve) for m in offsets.measures for curve in _both(offsets, m)]
    return table(head, rows, caption="The period of each curve, in bars", words=3)


def _period_row(curve: ReportCurve) -> tuple[Content, ...]:
    named: tuple[Content, ...] = (
        [title_of(curve.measure), " ", code(curve.measure)],
        RELATION_WORDS[curve.relation],
        period_in_short(curve),
    )
    peaks = {p.offset: p for p in curve.peaks}
    if not peaks:
        return *named, *([NOTHING] * 6)
    highest = max(curve.peaks, key=lambda p: p.height if p.height == p.height else -1.0)
    peak = peaks[curve.period] if curve.period else highest
    return (
        *named,
        number(peak.height),
        interval(peak.interval),
        number(peak.effect),
        p_value(peak.p),
        whole(peak.pieces),
        highest.offset,
    )


def _peaks(offsets: ReportTable, measure: str) -> Html:
    head = ["Relation", "bars back", "height", "95 % over pieces", "effect size", "p", "pieces", "real"]
    rows = [
        (
            RELATION_WORDS[p.relation],
            p.offset,
            number(p.height),
            interval(p.interval),
            number(p.effect),
            p_value(p.p),
            whole(p.pieces),
            "yes" if p.real else "no",
        )
        for p in chain.from_iterable(curve.peaks for curve in _both(offsets, measure))
    ]
    return table(head, rows, caption=f"{title_of(measure)} ({measure}): every peak")


def _both(offsets: ReportTable, measure: str) -> Iterator[ReportCurve]:
    return (c for relation in RELATIONS if (c := offsets.curve(measure, relation)))
