"""Shapes of the documents of `doctor` and `explain`."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.shapes import Const, Document, MapOf
from kcfix.core.doctor.diagnosis import Confidence, EvidenceKind, Severity

_RULE: Mapping[str, object] = {
    "code": "string",
    "title": "string",
    "severity": Severity,
    "family": "string",
    "needs": ["string"],
    "explained_by": ["string"],
    "modes": ["string"],
}
DOCTOR: Mapping[str, Document] = {
    "doctor": Document(
        "Findings, causes before their consequences (`rank` is that of the cause); then what could not be checked.",
        (
            {
                "section": Const("finding"),
                "rank": "integer",
                "code": "string",
                "title": "string",
                "severity": Severity,
                "confidence": Confidence,
                "symptom": "string",
                "cause": "string",
                "heals": "string?",
                "explained_by": "string?",
                "explains": ["string"],
                "about": [{"kind": "string", "name": "string"}],
                "impact": {
                    "payments": "integer?",
                    "payments_at_least": "boolean",
                    "amounts_minor": MapOf("integer"),
                    "payment_ids": ["string"],
                    "since": "time?",
                    "deadline_at": "time?",
                    "deadline_reason": "string?",
                    "catch_up_seconds": "number?",
                },
                "evidence": [{"kind": EvidenceKind, "text": "string", "at": "time?"}],
                "action": ["string"],
            },
            {"section": Const("unchecked"), "code": "string", "title": "string", "reason": "string"},
        ),
        {
            "causes": ["string"],
            "severities": MapOf("integer"),
            "checked": "integer",
            "unchecked": "integer",
            "silent": ["string"],
            "sample_seconds": "number?",
            "looked_at": "time",
            "payments": "integer?",
            "payments_since": "time?",
            "payments_in_flight": "integer?",
            "payments_cut": "boolean?",
        },
    ),
    "doctor-rules": Document("A row for each rule of the doctor (`--list-checks`).", _RULE, {}),
    "explain": Document("One rule of the doctor with its page.", {**_RULE, "page": "string"}, {}),
}
