"""The sections on what was measured: the curves, the test of their periods, the breakdown by instrument family."""

from collections.abc import Iterator
from itertools import chain

from analysis.offsets import RELATIONS
from analysis.similarity import BRIEF
from meloctl.formatting import NOTHING, interval, number, whole
from meloctl.html.blocks import code, details, figure, paragraph, section, table
from meloctl.html.markup import Content, Html, tag
from meloctl.report.curve_charts import curve_chart, peak_chart
from meloctl.report.family_heat_maps import by_offset_map, same_bar_map
from meloctl.report.report_facts import Facts
from meloctl.report.report_table import Curve, Table
from meloctl.report.report_text import RELATION_WORDS, p_value, period_in_short, period_in_words, title_of


def curves_section(facts: Facts) -> Html:
    """A chart a measure, and its numbers."""
    found = facts.table
    charts = [figure(curve_chart(found, m), [tag("strong", title_of(m)), " ", code(m)]) for m in found.measures]
    return section(
        "curves",
        "How alike bars are, by offset",
        paragraph(
            "Each point compares all pairs of bars that lie so many bars apart, within one part (blue, round) and between two "
            "different parts of a piece (red, square). Higher is more alike; 1 would be equal. Where a curve rises above its "
            "neighbours, the music returns."
        ),
        _legend(found),
        tag("div", *charts, class_="charts"),
        details("The numbers behind the curves", *(_numbers(found, m) for m in found.measures)),
    )


def period_section(facts: Facts) -> Html:
    """The test in words, in bars, and in numbers."""
    found = facts.table
    if not any(c.peaks for c in found.curves.values()):
        return section(
            "period",
            "Is there a period?",
            paragraph("This table holds no test of its peaks, so whether the curves rise by chance is unknown."),
        )
    level = "Each offset is held against the mean of its two neighbours: the height tells how far it stands out. A peak is real "
    level += "when it is certain (p of 0.01 or less, corrected for the number of offsets), at least 0.005 high, and its interval "
    level += "lies above zero. The period is the smallest offset whose peak is real and at least half as high as the peaks at "
    level += "twice, three times … that distance, up to 16 bars."
    charts = []
    for m in found.measures:
        chart = peak_chart(found, m)
        if chart:
            words = [paragraph(tag("strong", title_of(m)), " ", code(m)), *_in_words(found, m)]
            charts.append(figure(chart, words))
    return section(
        "period",
        "Is there a period?",
        paragraph(level),
        _periods(found),
        paragraph(
            tag("span", tag("span", class_="swatch bar same"), tag("span", class_="swatch bar cross"), " real peak"),
            tag(
                "span",
                tag("span", class_="swatch bar same unsure"),
                tag("span", class_="swatch bar cross unsure"),
                " not real",
            ),
            tag("span", tag("span", class_="swatch whisker"), " 95 % interval over pieces"),
            tag("span", "the two relations have scales of their own"),
            class_="legend",
        ),
        tag("div", *charts, class_="charts"),
        details("Every offset that was tested", *(_peaks(found, m) for m in found.measures)),
    )


def families_section(facts: Facts) -> Html:
    """Heat maps of the main measures."""
    maps = []
    for measure in (m.name for m in BRIEF):
        found = facts.families.get(measure)
        if found is None:
            continue
        maps.append(tag("h3", tag("span", title_of(measure)), " ", code(measure)))
        if found.families:
            maps.append(same_bar_map(found, f"{title_of(measure)}: two parts in the same bar"))
        if found.own or found.across:
            maps.append(
                by_offset_map(found, f"{title_of(measure)}: by offset in bars back, the families compared most often")
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


def _legend(found: Table) -> Html:
    """Of what is drawn, no more."""
    relations = [r for r in RELATIONS if any(relation == r for _, relation in found.curves)]

    def swatches(kind: str) -> list[Html]:
        return [tag("span", class_=f"swatch {kind} {r}") for r in relations]

    lines = [
        tag("span", s, f" {RELATION_WORDS[r]}, all pairs") for r, s in zip(relations, swatches("line"), strict=True)
    ]
    if found.knows_intervals:
        lines.append(tag("span", *swatches("band"), " 95 % interval over pieces"))
    if any(p.piece_mean is not None for c in found.curves.values() for p in c.points):
        lines.append(tag("span", *swatches("ring"), " mean of pieces"))
    if found.knows_chance:
        lines.append(tag("span", *swatches("chance"), " chance: bars shuffled"))
    else:
        lines.append(tag("span", "chance and intervals: unknown, not in this table"))
    return paragraph(*lines, class_="legend")


def _numbers(found: Table, measure: str) -> Html:
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
        for curve in _both(found, measure)
        for p in curve.points
    ]
    return table(head, rows, caption=f"{title_of(measure)} ({measure})")


def _in_words(found: Table, measure: str) -> list[Html]:
    return [
        paragraph(f"{RELATION_WORDS[curve.relation].capitalize()}: ", period_in_words(curve))
        for curve in _both(found, measure)
    ]


def _periods(found: Table) -> Html:
    head = ["Measure", "relation", "period", "height", "95 % over pieces", "effect size", "p", "pieces", "highest at"]
    rows = [_period_row(curve) for m in found.measures for curve in _both(found, m)]
    return table(head, rows, caption="The period of each curve, in bars", words=3)


def _period_row(curve: Curve) -> tuple[Content, ...]:
    named: tuple[Content, ...] = (
        [title_of(curve.measure), " ", code(curve.measure)],
        RELATION_WORDS[curve.relation],
        period_in_short(curve),
    )
    peaks = {p.offset: p for p in curve.peaks}
    if not peaks:
        return *named, *([NOTHING] * 6)
    highest = max(curve.peaks, key=lambda p: p.height if p.height == p.height else -1.0)
    told = peaks[curve.period] if curve.period else highest
    return (
        *named,
        number(told.height),
        interval(told.interval),
        number(told.effect),
        p_value(told.p),
        whole(told.pieces),
        highest.offset,
    )


def _peaks(found: Table, measure: str) -> Html:
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
        for p in chain.from_iterable(curve.peaks for curve in _both(found, measure))
    ]
    return table(head, rows, caption=f"{title_of(measure)} ({measure}): every peak")


def _both(found: Table, measure: str) -> Iterator[Curve]:
    return (c for relation in RELATIONS if (c := found.curve(measure, relation)))
