"""The incident report as one HTML file: what it cost, the chart, the timeline, the findings with the lines to paste."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo

from kcfix.cli.doctor_chart import Span, panels
from kcfix.cli.doctor_report import headline, moments, numbers
from kcfix.cli.doctor_view import evidence_words, impact_words
from kcfix.core.doctor.backlog import Backlog
from kcfix.core.doctor.diagnosis import Diagnosis, Finding, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.judging.snapshot import Reading
from kcfix.core.times import format_time
from kcfix.render.chart import figure, marks
from kcfix.render.markup import Html, Markup
from kcfix.render.page import page

TONE = {Severity.ERROR: "bad", Severity.CAUTION: "warn", Severity.ADVICE: "note"}


def report_page(
    examination: Examination,
    diagnosis: Diagnosis,
    backlogs: Reading[tuple[Backlog, ...]],
    span: Span,
    zone: tzinfo | None,
    scrub: Callable[[str], str],
) -> str:
    """The whole file. It holds ids of payments, and no personal data and no secret."""
    m = Markup(scrub)
    title = f"Incident report, {format_time(examination.at, zone)}"
    story = moments(examination, diagnosis)
    told = [f for f in diagnosis.findings if f.severity is not Severity.ADVICE]
    return page(
        m,
        title,
        m("h1", "Incident report, ", m("span", format_time(examination.at, zone), class_="whole")),
        _summary(m, examination, diagnosis, zone),
        m("h2", "Over time"),
        *_chart(m, examination, backlogs, story, span, zone),
        m("h2", "Timeline"),
        m("ol", *(_moment(m, at, text, zone) for at, text in story), class_="line"),
        m("h2", "Numbers"),
        m("ul", *(m("li", line) for line in numbers(examination, zone))),
        m("h2", "Findings"),
        *([_finding(m, f, examination.at, zone) for f in told] or [m("p", "None.")]),
        *_advice(m, diagnosis),
        *_unchecked(m, diagnosis),
    )


def _summary(m: Markup, examination: Examination, diagnosis: Diagnosis, zone: tzinfo | None) -> Html:
    causes = [f for f in diagnosis.findings if f.severity is Severity.ERROR]
    tone = "bad" if causes else "warn" if diagnosis.unchecked or diagnosis.findings else "good"
    return m.join(
        m("p", headline(examination, diagnosis), class_=tone),
        m("ol", *(_cause(m, f, examination.at, zone) for f in causes)) if causes else None,
        m("p", f"{len(diagnosis.unchecked)} checks could not be made: see the end.", class_="warn")
        if diagnosis.unchecked
        else None,
    )


def _cause(m: Markup, finding: Finding, now: datetime, zone: tzinfo | None) -> Html:
    cost = impact_words(finding.impact, now, zone)
    return m(
        "li",
        m("strong", finding.code),
        f" {finding.symptom}",
        m("div", f"Cause: {finding.cause}"),
        m("div", f"Cost: {cost}", class_="note") if cost else None,
    )


def _chart(
    m: Markup,
    examination: Examination,
    backlogs: Reading[tuple[Backlog, ...]],
    story: list[tuple[datetime, str]],
    span: Span,
    zone: tzinfo | None,
) -> Iterator[Html]:
    ticks = span.ticks(zone)
    drawn, said = panels(examination, backlogs, span, zone)
    yield m("p", f"From {format_time(span.begin, zone)} to {format_time(span.end, zone)}.", class_="note")
    for panel in drawn:
        yield figure(m, panel, ticks)
    for line in said:
        yield m("p", line)
    shown = [at for at, _ in story if span.holds(at)]
    yield marks(m, "Moments of the timeline", [span.share(at) for at in shown], ticks)
    if len(shown) < len(story):
        yield m("p", f"{len(story) - len(shown)} moments lie outside of this time.", class_="note")


def _moment(m: Markup, at: datetime, text: str, zone: tzinfo | None) -> Html:
    return m("li", m("time", format_time(at, zone)), m("span", text))


def _finding(m: Markup, finding: Finding, now: datetime, zone: tzinfo | None) -> Html:
    cost = impact_words(finding.impact, now, zone)
    facts = [("symptom", finding.symptom), ("cause", f"{finding.cause} ({finding.confidence.value.lower()})")]
    facts += [("cost", cost)] if cost else []
    facts += [("heals", finding.heals)] if finding.heals else []
    facts += [("payments", ", ".join(finding.impact.payment_ids))] if finding.impact.payment_ids else []
    return m(
        "article",
        m("h3", m("span", f"{finding.code} {finding.severity}", class_=TONE[finding.severity]), f" {finding.title}"),
        m("dl", *(part for name, text in facts for part in (m("dt", name), m("dd", text)))),
        m("ul", *(m("li", evidence_words(piece, zone)) for piece in finding.evidence)) if finding.evidence else None,
        *(m("pre", line) for line in finding.action),
        *(_finding(m, below, now, zone) for below in finding.consequences),
        class_=finding.severity.lower(),
    )


def _advice(m: Markup, diagnosis: Diagnosis) -> Iterator[Html]:
    advice = [f for f in diagnosis.findings if f.severity is Severity.ADVICE]
    if advice:
        yield m("h2", "So that it does not happen again")
        yield m(
            "ul",
            *(
                m("li", m("strong", f.code), f" {f.symptom}: {f.cause}", *(m("pre", line) for line in f.action))
                for f in advice
            ),
        )


def _unchecked(m: Markup, diagnosis: Diagnosis) -> Iterator[Html]:
    if diagnosis.unchecked:
        yield m("h2", "Not checked")
        yield m("ul", *(m("li", f"{one.code} {one.title}: {one.reason}") for one in diagnosis.unchecked))
