"""The shape of the statement that `kcfix missing --certify` makes."""

from __future__ import annotations

from collections.abc import Mapping

from kcfix.cli.shapes import Document, MapOf, Maybe
from kcfix.core.judging.verdict import VerdictKind

CERTIFICATE: Mapping[str, Document] = {
    "missing-certificate": Document(
        "One row: the statement. `sha256` is null where nothing is certified; `lacking` and `undecided` say why.",
        {
            "certified": "boolean",
            "since": "time",
            "until": "time",
            "as_of": "time",
            "kcfix_version": "string",
            "database": "string",
            "database_identifier": "string?",
            "payments_database": "string",
            "cluster_id": "string?",
            "partitions": Maybe(
                [
                    {
                        "topic": "string",
                        "partition": "integer",
                        "committed_offset": "integer?",
                        "log_end_offset": "integer?",
                    }
                ]
            ),
            "payments": "integer",
            "amounts_minor": MapOf("integer"),
            "with_one_purchase": "integer",
            "acknowledged": [
                {"payment_id": "string", "verdict": VerdictKind, "reason": "string", "who": "string", "at": "time"}
            ],
            "lacking": [{"payment_id": "string", "verdict": Maybe(VerdictKind)}],
            "undecided": ["string"],
            "trouble": MapOf("integer"),
            "sha256": "string?",
        },
        {},
    ),
}
