"""What the doctor found, as rows for programs (docs/decisions.md 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from kcfix.core.doctor.diagnosis import Diagnosis, Finding
from kcfix.core.doctor.examination import Examination
from kcfix.core.doctor.rule import FAMILIES, Rule


def rows(examination: Examination, diagnosis: Diagnosis) -> Iterator[Mapping[str, object]]:
    """The JSON rows: causes before their consequences, then what was not checked."""
    for rank, finding in enumerate(diagnosis.findings, 1):
        yield from _finding_rows(finding, rank)
    for one in diagnosis.unchecked:
        yield {"section": "unchecked", "code": one.code, "title": one.title, "reason": one.reason}


def _finding_rows(finding: Finding, rank: int) -> Iterator[Mapping[str, object]]:
    impact = finding.impact
    yield {
        "section": "finding",
        "rank": rank,
        "code": finding.code,
        "title": finding.title,
        "severity": finding.severity,
        "confidence": finding.confidence,
        "symptom": finding.symptom,
        "cause": finding.cause,
        "heals": finding.heals,
        "explained_by": finding.explained_by,
        "explains": list(dict.fromkeys(below.code for below in finding.consequences)),
        "about": [{"kind": thing.kind, "name": thing.name} for thing in finding.about],
        "impact": {
            "payments": impact.payments,
            "payments_at_least": impact.at_least,
            "amounts_minor": dict(impact.amounts_minor),
            "payment_ids": list(impact.payment_ids),
            "since": impact.since,
            "deadline_at": impact.deadline.at if impact.deadline else None,
            "deadline_reason": impact.deadline.reason if impact.deadline else None,
            "catch_up_seconds": impact.catch_up.total_seconds() if impact.catch_up else None,
        },
        "evidence": [{"kind": e.kind, "text": e.text, "at": e.at} for e in finding.evidence],
        "action": list(finding.action),
    }
    for below in finding.consequences:
        yield from _finding_rows(below, rank)


def summary(examination: Examination, diagnosis: Diagnosis) -> Mapping[str, object]:
    """Counts, and what was looked at."""
    observed = examination.observed
    every = diagnosis.every
    silent = [
        name
        for name, error in (
            ("docker", examination.discovery.error),
            ("kafka", observed.kafka.error),
            ("database", observed.database.error),
        )
        if error is not None
    ]
    looked = examination.payments.value
    return {
        "causes": [f.code for f in diagnosis.findings],
        "severities": dict(sorted(Counter(str(f.severity) for f in every).items())),
        "checked": len(diagnosis.checked),
        "unchecked": len(diagnosis.unchecked),
        "silent": silent,
        "sample_seconds": examination.sample.total_seconds() if examination.sample else None,
        "looked_at": examination.at,
        "payments": looked.payments if looked is not None else None,
        "payments_since": looked.since if looked is not None else None,
        "payments_in_flight": looked.in_flight if looked is not None else None,
        "payments_cut": looked.cut if looked is not None else None,
    }


def rule_row(rule: Rule) -> dict[str, object]:
    """A rule as a row."""
    return {
        "code": rule.code,
        "title": rule.title,
        "severity": rule.severity,
        "family": FAMILIES[rule.family],
        "needs": sorted(need.value for need in rule.needs),
        "explained_by": list(dict.fromkeys(cause.code for cause in rule.causes)),
        "modes": list(rule.modes),
    }
