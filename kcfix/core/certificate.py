"""Whether every payment of a window has exactly one purchase: counts, and a digest that anybody can check.

The digest is SHA-256 over one line `payment_id purchase_id` for each payment that has one, lower case, ended by a line
feed, in the order of the time of payment and then of the id.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from kcfix.core.acknowledgement import Acknowledgement
from kcfix.core.judging.gather import Sources
from kcfix.core.judging.judge import judge_by_tables
from kcfix.core.judging.matching import match_facts
from kcfix.core.judging.verdict import VerdictKind
from kcfix.core.missing import BATCH, CHUNK, FINE, Finding, Span, Tally, judged
from kcfix.core.payments import PaymentFacts, PaymentId
from kcfix.core.ports.database import DatabasePort


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
    undecided: tuple[PaymentId, ...] = ()
    """Without exactly one purchase, and acknowledged; a silent system leaves open whether as what they are now."""
    findings: Mapping[PaymentId, Finding] = field(default_factory=dict)
    """The verdicts of those in `lacking` and `undecided` that are still findings."""
    trouble: Mapping[VerdictKind, int] = field(default_factory=dict)
    """Payments that have their purchase and trouble behind it, by verdict: said, and no reason to refuse."""

    @property
    def holds(self) -> bool:
        """Whether every payment has exactly one purchase, but for acknowledged ones."""
        return not self.lacking and not self.undecided


def certificate(
    database: DatabasePort,
    sources: Sources,
    span: Span,
    words: Mapping[PaymentId, Acknowledgement],
    progress: Callable[[int], None] = lambda looked: None,
    batch: int = BATCH,
) -> Certificate:
    """The statement about all succeeded payments of the span, by one pass over the tables.

    Memory grows only with the payments that have no purchase. The log is read only for the verdicts of those, and for
    what lies behind a purchase that nothing has followed.

    Raises:
        Unreachable: the database fell silent: nothing is certified.
    """
    digest = hashlib.sha256()
    without: list[PaymentId] = []
    open_ones: list[PaymentId] = []
    told = _Told()
    with_one = looked = 0
    with database.payment_pass(span.since, span.until, everything=True) as whole:
        progress(0)
        rows = iter(whole.rows)
        while chunk := tuple(islice(rows, CHUNK)):
            unsure = tuple(row.payment_id for row in chunk if row.purchase_id is None)
            facts = database.facts(unsure) if unsure else {}
            for row in chunk:
                purchase = row.purchase_id
                if purchase is None:
                    purchase = _only_purchase(facts[row.payment_id])
                    if purchase is None or _troubled(facts[row.payment_id], span):
                        open_ones.append(row.payment_id)
                if purchase is None:
                    without.append(row.payment_id)
                else:
                    with_one += 1
                    digest.update(f"{row.payment_id} {purchase}\n".encode())
            looked += len(chunk)
            progress(looked)
            if len(open_ones) >= batch:
                told.take(judged(open_ones, database, sources, span, Tally(), words), frozenset(without))
                open_ones = []
        told.take(judged(open_ones, database, sources, span, Tally(), words), frozenset(without))
        payments, amounts = whole.payments, dict(whole.amounts_minor)
    found = told.without
    acknowledged = tuple(found[i] for i in without if i in found and found[i].acknowledged)
    undecided = tuple(i for i in without if i in found and _undecided(found[i]))
    apart = {*undecided, *(f.payment.id for f in acknowledged)}
    lacking = tuple(i for i in without if i not in apart)
    return Certificate(
        span=span,
        payments=payments,
        amounts_minor=amounts,
        with_one_purchase=with_one,
        sha256=digest.hexdigest(),
        acknowledged=acknowledged,
        lacking=lacking,
        undecided=undecided,
        findings={i: found[i] for i in (*lacking, *undecided) if i in found},
        trouble=dict(sorted(told.trouble.items())),
    )


@dataclass(slots=True)
class _Told:
    """What the verdicts say, kept for those without a purchase and counted for the others."""

    without: dict[PaymentId, Finding] = field(default_factory=dict)
    trouble: Counter[VerdictKind] = field(default_factory=Counter)

    def take(self, found: Iterable[Finding], without: frozenset[PaymentId]) -> None:
        for finding in found:
            if finding.payment.id in without:
                self.without[finding.payment.id] = finding
            else:
                self.trouble[finding.verdict.kind] += 1


def _undecided(finding: Finding) -> bool:
    return finding.word is not None and finding.verdict.kind is VerdictKind.UNKNOWN


def _only_purchase(facts: PaymentFacts) -> str | None:
    """The payment's purchase, if its student and course have no second active one."""
    purchase = match_facts(facts).purchase_of(facts.payment_id)
    if purchase is None or sum(p.is_active for p in facts.purchases) > 1:
        return None
    return purchase.id


def _troubled(facts: PaymentFacts, span: Span) -> bool:
    """Whether something is wrong behind its purchase, or only the log could tell."""
    verdict = judge_by_tables(facts, span.now)
    return verdict is None or verdict.kind not in FINE
