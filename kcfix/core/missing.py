"""The payments of a window that lack a purchase or have trouble after it: one pass over all of them.

SQL leaves out what is surely settled. The rest is read in chunks; what the tables call fine is dropped at once, what is
too young to be a finding is counted, and the others are looked for in the log together, many at a time, so that memory
does not grow with the payments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice

from kcfix.core.acknowledgement import Acknowledgement
from kcfix.core.judging.capture import capture_unproven
from kcfix.core.judging.gather import Sources, Surroundings, read_surroundings, snapshots_of
from kcfix.core.judging.judge import judge, judge_by_tables
from kcfix.core.judging.snapshot import Reading
from kcfix.core.judging.verdict import Verdict, VerdictKind
from kcfix.core.payments import Payment, PaymentFacts, PaymentId
from kcfix.core.ports.database import Behind, DatabasePort
from kcfix.core.repair.remedy import REMEDIES, Remedy

CHUNK = 1000
"""Payments whose facts are read at once."""
FIRST = 100
"""Those of a batch that are read first: mostly a suspect is among them, and its facts are read a second time."""
FRESH = timedelta(seconds=3)
"""What was read longer ago than this is read again before it is judged."""
BATCH = 20_000
"""Payments that one search of the log is made for."""
FINE = frozenset({VerdictKind.PURCHASED, VerdictKind.REFUNDED, VerdictKind.NOT_SUCCEEDED, VerdictKind.NOT_FOUND})
"""No finding: settled, or since the pass began no longer a succeeded payment."""
ACTIVE = frozenset({Remedy.SUPPLY, Remedy.INSERT, Remedy.ANNOUNCE})
"""What `repair` does something about by default."""
AHEAD = timedelta(minutes=5)
"""How far beyond now a window reaches by itself: clocks may differ."""
Progress = Callable[[int], None]
"""Told how many suspects have been looked at: 0 before the database is asked for the first of them."""


@dataclass(frozen=True, slots=True)
class Span:
    """What is looked at: payments paid in [since, until), as of `now` by the database's clock."""

    since: datetime
    until: datetime
    now: datetime
    overdue: timedelta
    """Younger payments are in flight: counted, never findings."""
    behind: Behind | None = None
    """The database is a standby that lacks what came after; `now` is the moment up to which it has everything."""

    def in_flight(self, payment: Payment) -> bool:
        """Whether it is too young to be a finding. A time far in the future is a wrong clock, and no youth."""
        return abs(self.now - payment.paid_at) < self.overdue


@dataclass(frozen=True, slots=True)
class Finding:
    """A succeeded payment that is overdue and not well."""

    payment: Payment
    verdict: Verdict
    word: Acknowledgement | None = None
    """What a person said of it, possibly for another verdict than it has now."""

    @property
    def acknowledged(self) -> bool:
        """Whether a person has judged it as what it is now."""
        return self.word is not None and self.word.verdict is self.verdict.kind

    @property
    def note(self) -> str | None:
        """Why what a person said of it no longer counts; None where it counts, or nothing was said."""
        if self.word is None or self.acknowledged:
            return None
        return f"acknowledged as {self.word.verdict}, is now {self.verdict.kind}"

    @property
    def remedy(self) -> Remedy:
        """What `repair` would do about it by default."""
        return REMEDIES[self.verdict.kind]

    @property
    def capture_unproven(self) -> str | None:
        """See `kcfix.core.judging.capture`."""
        return capture_unproven(self.payment)


@dataclass(slots=True)
class Tally:
    """Counts and money of a pass. It grows while the pass runs, and not with the payments."""

    complete: bool = False
    """Whether the pass went through to its end."""
    payments: int | None = None
    """Succeeded payments of the window, settled or not; None until the database has said it."""
    amounts_minor: dict[str, int] | None = None
    """Their money by currency."""
    suspects: int = 0
    """Those that were looked at one by one."""
    in_flight: int = 0
    """Too young to be findings; where the tables alone don't call them fine, whatever the log would say of them."""
    found: Counter[VerdictKind] = field(default_factory=Counter)
    found_minor: Counter[tuple[VerdictKind, str]] = field(default_factory=Counter)
    """Money of the findings, by verdict and currency."""
    unproven: int = 0
    """Findings whose capture is unproven."""
    oldest: datetime | None = None
    acknowledged: int = 0
    """Apart from the findings: those that a person has judged as what they are."""
    acknowledged_minor: Counter[str] = field(default_factory=Counter)

    def add(self, finding: Finding) -> None:
        """Count a finding, or apart from these one that is acknowledged."""
        kind, payment = finding.verdict.kind, finding.payment
        if finding.acknowledged:
            self.acknowledged += 1
            self.acknowledged_minor[payment.currency] += payment.amount_minor
            return
        self.found[kind] += 1
        self.found_minor[kind, payment.currency] += payment.amount_minor
        self.unproven += finding.capture_unproven is not None
        self.oldest = payment.paid_at if self.oldest is None else min(self.oldest, payment.paid_at)

    @property
    def findings(self) -> int:
        """How many findings there were."""
        return self.found.total()

    @property
    def missing_minor(self) -> dict[str, int]:
        """Money of all findings, by currency."""
        total: Counter[str] = Counter()
        for (_, currency), minor in self.found_minor.items():
            total[currency] += minor
        return dict(sorted(total.items()))

    def minor_of(self, kind: VerdictKind) -> dict[str, int]:
        """Money of the findings of one verdict, by currency."""
        return {currency: minor for (k, currency), minor in sorted(self.found_minor.items()) if k is kind}


def findings(
    database: DatabasePort,
    sources: Sources,
    span: Span,
    tally: Tally,
    words: Mapping[PaymentId, Acknowledgement] | None = None,
    progress: Progress = lambda looked: None,
    batch: int = BATCH,
) -> Generator[Finding, None, None]:
    """Every finding of the span, oldest first, in constant memory; `tally` counts along.

    Acknowledged ones come as well, with what `words` say of them.
    A silent Kafka makes verdicts UNKNOWN. Kafka is asked only after the tables and only if something needs it.

    Raises:
        Unreachable: the database fell silent; what was given before is not the whole. Nothing was changed.
        Refused: a table that is needed is missing.
    """
    with database.payment_pass(span.since, span.until) as whole:
        tally.payments, tally.amounts_minor = whole.payments, dict(whole.amounts_minor)
        batch_of = _Batch(database, sources, span, tally)
        progress(0)
        rows = iter(whole.rows)
        while chunk := tuple(row.payment_id for row in islice(rows, batch_of.next_chunk)):
            tally.suspects += len(chunk)
            batch_of.read(chunk)
            progress(tally.suspects)
            if len(batch_of.facts) >= batch:
                yield from batch_of.findings(words or {})
                batch_of = _Batch(database, sources, span, tally)
        yield from batch_of.findings(words or {})
    tally.complete = True


class _Batch:
    """Suspects whose facts were read after the offsets that they are judged by: a purchase is there before its commit.

    A worker that made a purchase and committed between the two would else leave a payment that is without purchase and
    behind the committed offset: SKIPPED, though it is settled.
    """

    def __init__(self, database: DatabasePort, sources: Sources, span: Span, tally: Tally) -> None:
        self.facts: dict[PaymentId, PaymentFacts] = {}
        self.next_chunk = FIRST
        self._database = database
        self._sources = sources
        self._span = span
        self._tally = tally
        self._around: Surroundings | None = None
        self._read_at = sources.now()

    def read(self, ids: Sequence[PaymentId]) -> None:
        """Read these, and keep those that may be findings. Kafka and Docker are asked once there is one."""
        found = self._old_suspects(ids)
        if found and self._around is None:
            self._around = read_surroundings(self._sources)
            self._read_at = self._sources.now()
            found = self._old_suspects(tuple(found))
        self.facts |= found
        self.next_chunk = CHUNK

    def _old_suspects(self, ids: Sequence[PaymentId]) -> dict[PaymentId, PaymentFacts]:
        """Those that are not fine and old enough to be findings; the young are counted, and not looked for."""
        found = _suspects(self._database, ids, self._span)
        young = [i for i, f in found.items() if f.payment is not None and self._span.in_flight(f.payment)]
        self._tally.in_flight += len(young)
        for i in young:
            del found[i]
        return found

    def findings(self, words: Mapping[PaymentId, Acknowledgement]) -> Iterator[Finding]:
        """The findings among them. What was read long ago, because the pass is long, is read again."""
        if self._around is None or not self.facts:
            return iter(())
        if self._sources.now() - self._read_at > FRESH:
            ids, self.facts = tuple(self.facts), {}
            return judged(ids, self._database, self._sources, self._span, self._tally, words)
        return _findings(self.facts, self._around, self._sources, self._span, self._tally, words)


def repairable_ids(found: Iterable[Finding]) -> Iterator[PaymentId]:
    """Those not acknowledged that `repair` would do something about by default, in the same order."""
    return (finding.payment.id for finding in found if finding.remedy in ACTIVE and not finding.acknowledged)


def judged(
    ids: Sequence[PaymentId],
    database: DatabasePort,
    sources: Sources,
    span: Span,
    tally: Tally,
    words: Mapping[PaymentId, Acknowledgement],
) -> Iterator[Finding]:
    """The findings among these payments, at most `BATCH`, by one search of the log for all of them."""
    if not ids:
        return
    around = read_surroundings(sources)
    facts = _suspects(database, ids, span)  # after the offsets, as in `_Batch`
    yield from _findings(facts, around, sources, span, tally, words)


def _findings(
    facts: Mapping[PaymentId, PaymentFacts],
    around: Surroundings,
    sources: Sources,
    span: Span,
    tally: Tally,
    words: Mapping[PaymentId, Acknowledgement],
) -> Iterator[Finding]:
    snapshots = snapshots_of(tuple(facts), Reading(facts), around, sources).by_payment
    for i, one in facts.items():
        verdict = judge(snapshots[i], overdue=span.overdue)
        if one.payment is None or verdict.kind in FINE:
            continue
        if verdict.kind is VerdictKind.IN_FLIGHT or span.in_flight(one.payment):
            tally.in_flight += 1
            continue
        finding = Finding(one.payment, verdict, words.get(i))
        tally.add(finding)
        yield finding


def _suspects(database: DatabasePort, ids: Iterable[PaymentId], span: Span) -> dict[PaymentId, PaymentFacts]:
    """The facts of those that the tables do not call fine."""
    found: dict[PaymentId, PaymentFacts] = {}
    rest = iter(ids)
    while chunk := tuple(islice(rest, CHUNK)):
        found |= {i: facts for i, facts in database.facts(chunk).items() if _unsettled(facts, span)}
    return found


def _unsettled(facts: PaymentFacts, span: Span) -> bool:
    verdict = judge_by_tables(facts, span.now)
    return verdict is None or verdict.kind not in FINE
