"""Whether every payment of a window has exactly one purchase: counts, and a digest that anybody can check.

The digest is SHA-256 over one line `payment_id purchase_id` for each payment that has one, lower case, ended by a line
feed, in the order of the time of payment and then of the id.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from kcfix.core.acknowledgement import Acknowledgement
from kcfix.core.gather import Sources
from kcfix.core.judge import judge_by_tables
from kcfix.core.matching import match_facts
from kcfix.core.missing import CHUNK, Finding, Span, Tally, findings
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports import DatabasePort

UNFOLLOWED = "UNFOLLOWED"
"""Counted among the trouble where only the log could tell whether a purchase was announced; it is not read for this."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the tables say about all succeeded payments of a window."""

    span: Span
    payments: int
    amounts_minor: Mapping[str, int]
    with_one_purchase: int
    sha256: str
    acknowledged: tuple[Finding, ...]
    """Without exactly one purchase, and judged by a person as what they are; oldest first."""
    lacking: tuple[PaymentId, ...]
    """Without exactly one purchase, and not acknowledged; oldest first. With any nothing is certified."""
    findings: Mapping[PaymentId, Finding] = field(default_factory=dict)
    """The verdicts of those in `lacking` that are still findings."""
    trouble: Mapping[str, int] = field(default_factory=dict)
    """Payments that have their purchase and trouble behind it, by verdict: said, and no reason to refuse."""

    @property
    def holds(self) -> bool:
        """Whether every payment has exactly one purchase, but for acknowledged ones."""
        return not self.lacking


def certificate(
    database: DatabasePort,
    sources: Sources,
    span: Span,
    words: Mapping[PaymentId, Acknowledgement],
    progress: Callable[[int], None] = lambda looked: None,
) -> Certificate:
    """The statement about all succeeded payments of the span, by one pass over the tables.

    Memory grows only with the payments that have no purchase. The log is read only for the verdicts of those.

    Raises:
        Unreachable: the database fell silent: nothing is certified.
    """
    digest = hashlib.sha256()
    trouble: Counter[str] = Counter()
    without: list[PaymentId] = []
    with_one = looked = 0
    with database.payment_pass(span.since, span.until, everything=True) as whole:
        rows = iter(whole.rows)
        while chunk := tuple(islice(rows, CHUNK)):
            open_ones = tuple(row.payment_id for row in chunk if row.purchase_id is None)
            facts = database.facts(open_ones) if open_ones else {}
            for row in chunk:
                purchase = row.purchase_id
                if purchase is None:
                    purchase = _only_purchase(facts[row.payment_id])
                    if purchase is not None and (kind := _trouble(facts[row.payment_id], span)):
                        trouble[kind] += 1
                if purchase is None:
                    without.append(row.payment_id)
                else:
                    with_one += 1
                    digest.update(f"{row.payment_id} {purchase}\n".encode())
            looked += len(chunk)
            progress(looked)
        payments, amounts = whole.payments, dict(whole.amounts_minor)
    found: dict[PaymentId, Finding] = {}
    if without:
        wanted = frozenset(without)
        every = findings(database, sources, span, Tally(), words)
        found = {f.payment.id: f for f in every if f.payment.id in wanted}
    acknowledged = tuple(found[i] for i in without if i in found and found[i].acknowledged)
    lacking = tuple(i for i in without if i not in found or not found[i].acknowledged)
    return Certificate(
        span=span,
        payments=payments,
        amounts_minor=amounts,
        with_one_purchase=with_one,
        sha256=digest.hexdigest(),
        acknowledged=acknowledged,
        lacking=lacking,
        findings={i: found[i] for i in lacking if i in found},
        trouble=dict(sorted(trouble.items())),
    )


def _only_purchase(facts: PaymentFacts) -> str | None:
    """The payment's purchase, if its student and course have no second active one."""
    purchase = match_facts(facts).purchase_of(facts.payment_id)
    if purchase is None or sum(p.is_active for p in facts.purchases) > 1:
        return None
    return purchase.id


def _trouble(facts: PaymentFacts, span: Span) -> str | None:
    verdict = judge_by_tables(facts, span.now)
    if verdict is None:
        return UNFOLLOWED
    return None if verdict.kind.value == "PURCHASED" else verdict.kind.value
