"""The incident report in Markdown: what happened when, what it cost, what proves it, what to do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo

from kcfix.clean import clean
from kcfix.cli.doctor_view import evidence_words, impact_words
from kcfix.cli.money import amount
from kcfix.core.doctor.diagnosis import Diagnosis, Finding, Severity
from kcfix.core.doctor.examination import Examination
from kcfix.core.times import format_duration, format_time

BEFORE = timedelta(minutes=10)
"""How far before the first known moment of the incident Docker's events are told."""


def report(examination: Examination, diagnosis: Diagnosis, zone: tzinfo | None) -> str:
    """The whole text. It holds ids of payments, and no personal data and no secret."""
    lines = [
        f"# Incident report, {format_time(examination.at, zone)}",
        "",
        *_summary(examination, diagnosis, zone),
        "",
        "## Timeline",
        "",
        *(f"- {format_time(at, zone)} {clean(text)}" for at, text in moments(examination, diagnosis)),
        "",
        "## Numbers",
        "",
        *(f"- {clean(line)}" for line in numbers(examination, zone)),
        "",
        "## Findings",
        "",
    ]
    for finding in diagnosis.findings:
        if finding.severity is not Severity.ADVICE:
            lines += _finding(finding, examination.at, zone, 3)
    advice = [f for f in diagnosis.findings if f.severity is Severity.ADVICE]
    if advice:
        lines += ["## So that it does not happen again", ""]
        for finding in advice:
            lines += [f"- **{finding.code}** {clean(finding.symptom)}: {clean(finding.cause)}"]
            lines += [f"  - `{command}`" for command in finding.action]
        lines.append("")
    if diagnosis.unchecked:
        lines += ["## Not checked", ""]
        lines += [f"- {one.code} {one.title}: {clean(one.reason)}" for one in diagnosis.unchecked]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _summary(examination: Examination, diagnosis: Diagnosis, zone: tzinfo | None) -> Iterator[str]:
    causes = [f for f in diagnosis.findings if f.severity is Severity.ERROR]
    yield headline(examination, diagnosis)
    if causes:
        yield ""
    for finding in causes:
        cost = impact_words(finding.impact, examination.at, zone)
        yield f"1. **{finding.code}** {clean(finding.symptom)}. {clean(finding.cause)}." + (
            f" Cost: {cost}." if cost else ""
        )


def headline(examination: Examination, diagnosis: Diagnosis) -> str:
    """How many causes there are, by which looks."""
    causes = sum(f.severity is Severity.ERROR for f in diagnosis.findings)
    looks = "one look" if examination.sample is None else f"two looks {format_duration(examination.sample)} apart"
    if not causes:
        return f"Nothing is wrong, as far as {looks} can tell ({len(diagnosis.checked)} checks)."
    many = "1 cause" if causes == 1 else f"{causes} causes"
    return f"{many}, by {looks} ({len(diagnosis.checked)} checks):"


def moments(examination: Examination, diagnosis: Diagnosis) -> list[tuple[datetime, str]]:
    """What happened when, in the order of time, as far as somebody recorded it; the last is the look itself, mostly."""
    found: dict[tuple[datetime, str], None] = {}
    for finding in diagnosis.every:
        if finding.severity is Severity.ADVICE:
            continue
        if finding.impact.since is not None:
            found[finding.impact.since, f"{finding.code}: {finding.symptom}"] = None
        for piece in finding.evidence:
            if piece.at is not None:
                found[piece.at, piece.text] = None
    looked = examination.payments.value
    owed = [f.payment for f in looked.found] if looked is not None else []
    for payment in (*owed[:1], *owed[-1:]):
        which = "oldest" if payment is owed[0] else "newest"
        found[payment.paid_at, f"payment {payment.id} succeeded, the {which} of {len(owed)} that are not well"] = None
    begin = min((at for at, _ in found), default=examination.at)
    for at, text in _events(examination, begin - BEFORE):
        found.setdefault((at, text), None)
    found[examination.at, "looked at by kcfix doctor"] = None
    return sorted(found)


def _events(examination: Examination, since: datetime) -> Iterator[tuple[datetime, str]]:
    """What Docker remembers of the flow's containers since then; what happened again and again only twice."""
    for container in examination.containers:
        kinds: dict[tuple[str, int | None, str | None], list[datetime]] = {}
        for event in examination.events_of(container):
            if event.at >= since:
                kinds.setdefault((event.action, event.exit_code, event.signal), []).append(event.at)
        for (action, code, signal), times in kinds.items():
            words = f"Docker: {container.name} {action}"
            words += f", exit code {code}" if code is not None else ""
            words += f", signal {signal}" if signal is not None else ""
            yield times[0], words
            if len(times) > 1:
                yield times[-1], f"{words}, {len(times)} times by now"


def numbers(examination: Examination, zone: tzinfo | None) -> Iterator[str]:
    """Payments, their money and the lags, a line each."""
    looked = examination.payments.value
    if looked is not None:
        yield f"payments succeeded since {format_time(looked.since, zone)}: {looked.payments}"
        sums: dict[str, int] = {}
        for found in looked.found:
            sums[found.payment.currency] = sums.get(found.payment.currency, 0) + found.payment.amount_minor
        money = ", ".join(amount(minor, currency) for currency, minor in sorted(sums.items()))
        more = "at least " if looked.cut else ""
        cost = f" ({money})" if money else ""
        young = "not counted" if looked.in_flight is None else looked.in_flight
        yield f"of these not well: {more}{len(looked.found)}{cost}; in flight: {young}"
    else:
        yield f"payments: not known ({examination.payments.error})"
    kafka = examination.observed.kafka.value
    for lag in kafka.groups if kafka is not None else ():
        unknown = f" + {lag.unknown_partitions} unknown" if lag.unknown_partitions else ""
        yield f"{lag.group.group_id}: {lag.group.state}, lag {lag.known_lag_records}{unknown}"


def _finding(finding: Finding, now: datetime, zone: tzinfo | None, depth: int) -> Iterator[str]:
    yield f"{'#' * depth} {finding.code} {finding.title}"
    yield ""
    yield f"- severity: {finding.severity}, cause {finding.confidence.value.lower()}"
    yield f"- symptom: {clean(finding.symptom)}"
    yield f"- cause: {clean(finding.cause)}"
    cost = impact_words(finding.impact, now, zone)
    if cost:
        yield f"- cost: {clean(cost)}"
    if finding.impact.payment_ids:
        yield f"- payments: {', '.join(finding.impact.payment_ids)}"
    for piece in finding.evidence:
        yield f"- evidence: {clean(evidence_words(piece, zone))}"
    if finding.action:
        yield ""
        yield "```sh"
        yield from finding.action
        yield "```"
    yield ""
    for below in finding.consequences:
        yield from _finding(below, now, zone, min(depth + 1, 6))
