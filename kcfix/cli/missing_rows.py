"""What `missing` found, as rows for programs."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.payment_columns import payment_columns
from kcfix.core.acknowledgement import Acknowledgement
from kcfix.core.missing import Finding, Span, Tally


def finding_row(finding: Finding, span: Span) -> Mapping[str, object]:
    """One finding."""
    payment, verdict = finding.payment, finding.verdict
    return {
        "payment_id": payment.id,
        "verdict": verdict.kind,
        "reason": verdict.reason,
        "detail": verdict.detail,
        "also": list(verdict.also),
        "remedy": finding.remedy,
        "age_seconds": (span.now - payment.paid_at).total_seconds(),
        **payment_columns(payment),
        "acknowledged": finding.acknowledged,
        "acknowledgement": None if finding.word is None else word_row(finding.word),
    }


def word_row(word: Acknowledgement) -> Mapping[str, object]:
    """What a person said of a payment."""
    return {
        "payment_id": word.payment_id,
        "verdict": word.verdict,
        "reason": word.reason,
        "who": word.who,
        "at": word.at,
        "context": word.context,
    }


def summary(tally: Tally, span: Span) -> Mapping[str, object]:
    """Counts and money of the pass, as far as it went."""
    return {
        "complete": tally.complete,
        "since": span.since,
        "until": span.until,
        "payments": tally.payments,
        "payments_amounts_minor": tally.amounts_minor,
        "findings": tally.findings,
        "amounts_minor": tally.missing_minor,
        "acknowledged": tally.acknowledged,
        "acknowledged_amounts_minor": dict(sorted(tally.acknowledged_minor.items())),
        "in_flight": tally.in_flight,
        "capture_unproven": tally.unproven,
        "oldest_paid_at": tally.oldest,
        "verdicts": [
            {"verdict": kind, "payments": count, "amounts_minor": tally.minor_of(kind)}
            for kind, count in sorted(tally.found.items())
        ],
    }
